package danger

import (
	"slices"
	"strings"
	"testing"

	"postern/internal/platform/passhash"
)

func TestWhoMaySendAsAnyDomainIsTold(t *testing.T) {
	hash := passhash.New("secret", make([]byte, passhash.SaltLength))
	text := certificate + `
[relay]
networks = ["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32", "::1/128"]
client_certificates = "ca.pem"
[[user]]
name = "ann"
password_hash = "` + hash + `"
[[user]]
name = "bob"
password_hash = "` + hash + `"
`
	for _, tc := range []struct{ name, bindings, want string }{
		{"nobody is bound", "", `relay.networks[0] relay.networks[1] relay.networks[2] relay.networks[3] user[0] user[1] relay.client_certificates`},
		{"some are", `
[[relay_client]]
networks = ["10.0.0.0/8", "192.0.2.0/25", "2001:db8::/33", "::1/128"]
users = ["bob"]
certificates = ["app.test"]
senders = ["example.com", "<>"]`,
			"relay.networks[1] relay.networks[2] user[0] relay.client_certificates"},
		{"all are, one without reports", `
[[relay_client]]
networks = ["10.0.0.0/9", "10.128.0.0/10", "10.192.0.0/10", "192.0.2.0/24", "2001:db8:8000::/33"]
users = ["bob", "ann"]
senders = ["example.com"]
[[relay_client]]
networks = ["2001:db8::/33", "::1/128"]
certificates = ["*"]
senders = ["*"]`, "relay_client[0].senders"},
	} {
		c, err := parse(text + tc.bindings)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		var keys []string
		for _, p := range Senders(c) {
			if p.Fatal {
				t.Errorf("%s: %s is fatal", tc.name, p.Key)
			}
			keys = append(keys, p.Key)
		}
		if !slices.Equal(keys, strings.Fields(tc.want)) {
			t.Errorf("%s: %q, want %s", tc.name, keys, tc.want)
		}
	}
}

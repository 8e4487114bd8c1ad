package mail

import (
	"strings"
	"testing"
)

func TestMailboxesOfAField(t *testing.T) {
	for text, want := range map[string]string{
		"anna@example.com": "anna@example.com",
		"Anna <anna@example.com>, Bob <bob@Clinic.Test>":            "anna@example.com bob@clinic.test",
		`"Doe, Jane" <jane@example.com>`:                            "jane@example.com",
		`"who <is@this.test>" <jane@example.com>`:                   "jane@example.com",
		"jane@example.com (Jane, of (the) office)":                  "jane@example.com",
		"=?utf-8?q?M=C3=BCller=2C?= <m@example.com>":                "m@example.com",
		"Müller, Hans <m@example.com>":                              "m@example.com unread 1",
		"undisclosed-recipients:;":                                  "",
		"friends: a@example.com, B <b@example.com>;, c@example.com": "a@example.com b@example.com c@example.com",
		"<@relay.test,@other.test:dr@clinic.test>":                  "dr@clinic.test",
		"dr@[IPv6:2001:db8::1]":                                     "dr@[IPv6:2001:db8::1]",
		`"front desk"@example.com`:                                  `"front desk"@example.com`,
		"<>":                                                        "",
		"a@example.com,\r\n b@example.com,,":                        "a@example.com b@example.com",
		"nonsense, a@example.com":                                   "a@example.com unread 1",
		`"never closed <a@example.com>`:                             "unread 1",
		"(never closed":                                             "",
		`\`:                                                         "unread 1",
		"<never closed@example.com":                                 "unread 1",
		"a@example.com b@example.com":                               "unread 1",
		strings.Repeat("(", 5000) + strings.Repeat(")", 5000) + "a@example.com": "a@example.com",
	} {
		list, unread := ParseHeader([]byte("To: " + text + "\n\n")).All("to")[0].Mailboxes()
		var got []string
		for _, a := range list {
			got = append(got, a.String())
		}
		if unread > 0 {
			got = append(got, "unread 1")
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%.60q: %s, want %s", text, s, want)
		}
	}
}

func FuzzMailboxes(f *testing.F) {
	f.Add("Anna <anna@example.com>, \"x\\\" (y\" <b@[IPv6:::1]>; g: c@d.test;")
	f.Fuzz(func(t *testing.T, text string) {
		for _, field := range ParseHeader([]byte("To: " + text + "\n\n")).Fields() {
			list, unread := field.Mailboxes()
			if len(list)+unread > len(text)+1 {
				t.Errorf("%d mailboxes in %q", len(list), text)
			}
			for _, a := range list {
				if a.Domain.IsZero() {
					t.Errorf("%q has an address without a domain", text)
				}
			}
		}
	})
}

package config

import (
	"slices"
	"strings"
	"testing"
)

func TestSendersAreKeptInOneForm(t *testing.T) {
	c, err := parse(`
[relay]
networks = ["10.0.0.0/8"]
require = "plaintext"
[[relay_client]]
networks = ["10.0.0.0/8"]
senders = ["BÜCHER.example.", "*.Example.COM", "<>", "*", "[IPv6:::ffff:192.0.2.1]"]`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range c.RelayClient[0].Senders {
		got = append(got, s.String())
	}
	if want := []string{"xn--bcher-kva.example", "*.example.com", "<>", "*", "[192.0.2.1]"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if !strings.Contains(c.TOML(), `senders = ["xn--bcher-kva.example", "*.example.com", "<>", "*", "[192.0.2.1]"]`) {
		t.Errorf("shown as\n%s", c.TOML())
	}
}

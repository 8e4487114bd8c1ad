package config

import (
	"slices"
	"strings"
	"testing"
)

func TestDifferencesNamesKeysAndSections(t *testing.T) {
	read := func(text string) *Config {
		t.Helper()
		c, err := Parse("t.toml", "/etc", "gw.test", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a := read("hostname = 'gw.test'\n[limits]\nhops = 50\n[[domain]]\nname = 'a.test'\ndeliver_to = ['10.0.0.1']\n")
	b := read("hostname = 'other.test'\n[limits]\nhops = 60\n[log]\nlevel = 'debug'\n[[domain]]\nname = 'b.test'\ndeliver_to = ['10.0.0.1']\n")
	want := []string{"domain", "hostname", "limits.hops", "log.level"}
	if got := Differences(a, b); !slices.Equal(slices.DeleteFunc(got, func(key string) bool { return !slices.Contains(want, key) }), want) {
		t.Errorf("differences %q, want %q among them", got, want)
	}
	if got := Differences(a, a); len(got) != 0 {
		t.Errorf("of one with itself %q", got)
	}
}

func TestAProblemShowsNoSecret(t *testing.T) {
	for _, line := range []string{"password = 'geheim!'", "Passwort = 'geheim!'", "pwd = 'geheim!'", "client_secret = 'geheim!'", "token = 'geheim!'", "password_hash = 'geheim!'"} {
		_, err := Parse("t.toml", "/etc", "gw.test", []byte("[[user]]\nname = 'anna'\n"+line+"\n"))
		if err == nil {
			t.Fatalf("%s is accepted", line)
		}
		if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s is shown:\n%v", line, err)
		}
	}
}

package config

import (
	"errors"
	"strings"
	"testing"
)

func TestAFindingHasTheLineOfItsKeyOrOfWhatThatIsPartOf(t *testing.T) {
	c, err := parse("hostname = \"gw.test\"\n[relay]\nnetworks = [\n  \"10.0.0.0/8\",\n  \"81.0.0.0/8\",\n]\n\n[[domain]]\nname = \"a.test\"\ndeliver_to = [\"m.test\"]\n")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"hostname": 1, "relay.networks[1]": 5, "relay.networks": 3, "relay.require": 2, "domain[0].trust": 8, "domain[0].deliver_to[0]": 10,
		"tls.certificates[0]": 0, "": 0, "admin.listen": 0} {
		if got := c.Line(key); got != want {
			t.Errorf("%s stands in line %d, want %d", key, got, want)
		}
	}
}

// What is no TOML is shown with its line and what to write instead.
func TestASyntaxErrorShowsItsLineAndAHint(t *testing.T) {
	for text, line := range map[string]int{
		"hostname = \"gw.test\"\ndata = \"/var\n": 2, "hostname = \"a\"\nhostname = \"b\"\n": 2, "\nhostname = gw.test\n": 2, "[tls]\n[tls]\n": 2, "# x\n[tls\n": 2,
		"hostname \"x\"\n": 1, "= 5\n": 1, "hostname: gw.test\n": 1, "[[listen]]\n[listen]\n": 2, "[listen]\n[[listen]]\n": 2, "hostname = \"a\\qb\"\n": 1, "hostname = 'a\nb'\n": 1,
		"hostname = \"a\" data = \"b\"\n": 1, "hostname = “gw”\n": 1, "relay.networks = [\"10.0.0.0/8\",,]\n": 1, "x = {a = 1\n": 1, "hostname = \"\xff\"\n": 1, "limits.hops = 012\n": 1, "hostname =\n": 1, "[relay]\nnetworks = [\"10.0.0.0/8\"\nrequire = 1\n": 3,
	} {
		_, err := parse(text)
		problems, ok := errors.AsType[*Problems](err)
		if !ok || len(problems.List) != 1 {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if p := problems.List[0]; p.Line != line || p.Hint == "" || p.Text != strings.Split(text, "\n")[line-1] || !strings.Contains(err.Error(), "^") {
			t.Errorf("%q: line %d, want %d: %+v", text, p.Line, line, p)
		}
	}
}

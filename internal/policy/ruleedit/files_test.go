package ruleedit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"postern/internal/policy/rules"
)

func forcedBy(name, scope, trust string) string {
	return fmt.Sprintf("[[rule]]\nname = %q\nscope = %q\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"x.test\"]\n[rule.force_tls]\ntrust = %q\n", name, scope, trust)
}

// Each file that cannot be used is told at every place that names it, and is asked about once; what demands nothing
// names nothing.
func TestFilesThatRulesNameAreAskedForOnceAndBlamedInPlace(t *testing.T) {
	text := forcedBy("a", "outbound", "gone.pem") + forcedBy("b", "outbound", "good.pem") + forcedBy("c", "outbound", "gone.pem") +
		forcedBy("d", "disabled", "never.pem") + forcedBy("e", "outbound", "public") +
		"[[rule]]\nname = \"f\"\nmode = \"test\"\nscope = \"outbound\"\naction = \"force-tls\"\nforce_tls = { trust = \"/broken.pem\" }\nmatch.recipient = [\"x.test\"]\n" +
		"[[rule]]\nname = \"g\"\nscope = \"outbound\"\naction = \"force-tls\"\nforce_tls.trust = \"./gone.pem\"\nmatch.recipient = [\"x.test\"]\n"
	if _, err := rules.Parse("r", []byte(text)); err != nil {
		t.Fatal(err)
	}
	var asked []string
	err := CheckFiles("r.toml", []byte("\ufeff"+text), func(trust string) (string, string) {
		asked = append(asked, trust)
		if trust == "good.pem" {
			return "", ""
		}
		return "no such file", "put it there"
	})
	var broken *rules.ParseError
	if !errors.As(err, &broken) || broken.File != "r.toml" {
		t.Fatalf("%v", err)
	}
	if want := []string{"gone.pem", "good.pem", "/broken.pem", "./gone.pem"}; !slices.Equal(asked, want) {
		t.Errorf("asked about %q, want %q", asked, want)
	}
	lines := strings.Split(text, "\n")
	var got []string
	for _, p := range broken.Problems {
		if p.Hint != "put it there" || !strings.Contains(p.What, "no such file") || !strings.Contains(lines[p.Line-1], "trust = ") ||
			!strings.HasPrefix(p.Source[p.Mark:], `"`) {
			t.Errorf("%+v", p)
		}
		got = append(got, strings.Fields(p.What)[1])
	}
	if want := []string{`"gone.pem"`, `"gone.pem"`, `"/broken.pem"`, `"./gone.pem"`}; !slices.Equal(got, want) {
		t.Errorf("told of %q, want %q", got, want)
	}
	for _, fine := range []string{"", "no TOML [", "rule = 5\n", forcedBy("b", "outbound", "good.pem"), "[[rule]]\nname = \"n\"\nforce_tls = 5\n", "[[rule]]\nforce_tls = {trust = 5}\n"} {
		if err := CheckFiles("r", []byte(fine), func(string) (string, string) { return "", "" }); err != nil {
			t.Errorf("%q: %v", fine, err)
		}
	}
}

package ruleedit

import (
	"fmt"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy"
	"postern/internal/policy/rule"
)

// CheckFiles asks about each file that the rules of a text name as their trust, once, and returns a *ParseError with
// every place where one is named that cannot be used. ask reads it: wrong says what is wrong with it and hint what to
// do, wrong "" that all is well. A rule of scope "disabled" demands nothing and is not asked about. name is as in
// Parse, which finds what else is wrong: a text that does not parse has no error here.
func CheckFiles(name string, text []byte, ask func(trust string) (wrong, hint string)) error {
	p := rule.NewProblems(text)
	root := p.Root()
	if root == nil {
		return nil
	}
	type answer struct{ wrong, hint string }
	known := map[string]answer{}
	for _, table := range root.Get("rule").Tables() {
		e, ok := trustOf(table)
		if !ok {
			continue
		}
		a, asked := known[e.Value.Text]
		if !asked {
			a.wrong, a.hint = ask(e.Value.Text)
			known[e.Value.Text] = a
		}
		if a.wrong != "" {
			p.Add(e.Value.At, fmt.Sprintf("trust %s cannot be used: %s", tomlfile.Quote(tomlfile.Clip(e.Value.Text)),
				a.wrong), a.hint)
		}
	}
	return p.Err(name)
}

// trustOf finds the file that a rule names as its trust, ok false where it names none or demands nothing.
func trustOf(table *tomlfile.Node) (e tomlfile.Entry, ok bool) {
	if scope := table.Get("scope"); scope != nil && scope.Text == string(rule.Disabled) {
		return e, false
	}
	settings := table.Get("force_tls")
	if settings == nil {
		settings = table.Get("require_tls")
	}
	if settings == nil || settings.Kind != unstable.Table {
		return e, false
	}
	e = settings.Entry("trust")
	return e, e.Value != nil && e.Value.Kind == unstable.String && e.Value.Text != policy.PublicTrust
}

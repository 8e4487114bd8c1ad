package rules

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlfile"
)

// CheckRoutes returns a *ParseError with every place where the rules of a text redirect to a route that is none of
// names. A rule of scope "disabled" redirects nothing. name is as in Parse, which finds what else is wrong.
func CheckRoutes(name string, text []byte, names []string) error {
	p := newProblems(text)
	root := p.tree()
	if root == nil {
		return nil
	}
	list := root.Get("rule")
	if list == nil {
		return nil
	}
	known := map[string]bool{}
	for _, n := range names {
		known[n] = true
	}
	for _, rule := range list.Items {
		if rule.Kind != unstable.Table {
			continue
		}
		if scope := rule.Get("scope"); scope != nil && scope.Text == string(Disabled) {
			continue
		}
		section := rule.Get("redirect")
		if section == nil || section.Kind != unstable.Table {
			continue
		}
		if e := section.Entry("route"); e.Value != nil && e.Value.Kind == unstable.String && RouteName(e.Value.Text) && !known[e.Value.Text] {
			hint := "give a [[route]] of the configuration that name, and reload"
			if len(names) > 0 {
				hint += "; those with names are " + strings.Join(names, ", ")
			}
			p.Add(e.Value.At, fmt.Sprintf("there is no route %s", tomlfile.Quote(e.Value.Text)), hint)
		}
	}
	return p.Err(name)
}

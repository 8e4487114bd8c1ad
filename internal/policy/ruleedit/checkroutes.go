package ruleedit

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulevalue"
)

// CheckRoutes returns a *ParseError with every place where the rules of a text send mail to a route that is none of
// names. A rule of scope "disabled" sends nothing. name is as in Parse, which finds what else is wrong.
func CheckRoutes(name string, text []byte, names []string) error {
	p := rule.NewProblems(text)
	root := p.Root()
	if root == nil {
		return nil
	}
	known := map[string]bool{}
	for _, n := range names {
		known[n] = true
	}
	for _, table := range root.Get("rule").Tables() {
		if scope := table.Get("scope"); scope != nil && scope.Text == string(rule.Disabled) {
			continue
		}
		for _, use := range routesNamed(table) {
			if text := strings.TrimPrefix(use.Text, rulevalue.RouteWord); rulevalue.RouteName(text) && !known[text] {
				hint := "give a [[route]] of the configuration that name, and reload"
				if len(names) > 0 {
					hint += "; those with names are " + strings.Join(names, ", ")
				}
				p.Add(use.At, fmt.Sprintf("there is no route %s", tomlfile.Quote(text)), hint)
			}
		}
	}
	return p.Err(name)
}

// routesNamed are the texts of a rule that name a route.
func routesNamed(table *tomlfile.Node) (out []*tomlfile.Node) {
	value := func(section, key string) *tomlfile.Node {
		if settings := table.Get(section); settings != nil && settings.Kind == unstable.Table {
			return settings.Get(key)
		}
		return nil
	}
	if v := value("redirect", "route"); v != nil && v.Kind == unstable.String {
		out = append(out, v)
	}
	if v := value("force_tls", "otherwise"); v != nil && v.Kind == unstable.Array {
		for _, item := range v.Items {
			if item.Kind == unstable.String && strings.HasPrefix(item.Text, rulevalue.RouteWord) {
				out = append(out, item)
			}
		}
	}
	return out
}

package rules

import (
	"fmt"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlbound"
	"postern/internal/policy"
)

// CheckFiles asks about each file that the rules of a text name as their trust, once, and returns a *ParseError with every
// place where one is named that cannot be used. ask reads it: wrong says what is wrong with it and hint what to do, wrong ""
// that all is well. A rule of scope "disabled" demands nothing and is not asked about. name is as in Parse, which finds what
// else is wrong: a text that does not parse has no error here.
func CheckFiles(name string, text []byte, ask func(trust string) (wrong, hint string)) error {
	p := &problems{source: tomlbound.Unmarked(text)}
	root := parseTree(p)
	if root == nil {
		return nil
	}
	list := root.get("rule")
	if list == nil {
		return nil
	}
	type answer struct{ wrong, hint string }
	known := map[string]answer{}
	for _, rule := range list.items {
		e, ok := trustOf(rule)
		if !ok {
			continue
		}
		a, asked := known[e.value.text]
		if !asked {
			a.wrong, a.hint = ask(e.value.text)
			known[e.value.text] = a
		}
		if a.wrong != "" {
			p.add(e.value.at, fmt.Sprintf("trust %s cannot be used: %s", quote(clip(e.value.text)), a.wrong), a.hint)
		}
	}
	return p.err(name)
}

// trustOf finds the file that a rule names as its trust, ok false where it names none or demands nothing.
func trustOf(rule *node) (e entry, ok bool) {
	if rule.kind != unstable.Table {
		return e, false
	}
	if scope := rule.get("scope"); scope != nil && scope.text == string(Disabled) {
		return e, false
	}
	force := rule.get("force_tls")
	if force == nil || force.kind != unstable.Table {
		return e, false
	}
	i, there := force.index["trust"]
	if !there {
		return e, false
	}
	e = force.keys[i]
	return e, e.value.kind == unstable.String && e.value.text != policy.PublicTrust
}

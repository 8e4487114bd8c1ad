package rules

import (
	"fmt"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy/exception"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulelist"
)

// What one rules file may hold.
const (
	MaxFile  = tomlfile.MaxSize // bytes
	MaxRules = 100_000
)

// Parse reads a rules file. name stands in error messages; text may be reused afterwards. An error is a *ParseError
// with everything that is wrong, except that nothing else can be found in a text that is no TOML. An empty file is a
// Set without rules.
func Parse(name string, text []byte) (*Set, error) { return ParseWithin(nil, name, text) }

// ParseWithin is Parse for some rules out of a file: they may name the lists of a set, which are part of the result.
// within may be nil.
func ParseWithin(within *Set, name string, text []byte) (*Set, error) {
	if len(text) > MaxFile {
		return nil, &ParseError{File: name, Problems: []Problem{{Line: 1, Column: 1,
			What: fmt.Sprintf("the file has %d bytes, at most %d are allowed", len(text), MaxFile),
			Hint: "write rules with longer lists instead of many rules"}}}
	}
	p := rule.NewProblems(text)
	root := p.Root()
	if root == nil {
		return nil, p.Err(name)
	}
	lists := rulelist.Read(&p.Problems, root)
	if within != nil {
		checkAlone(p, root)
		lists = within.lists
		p.NoLists = len(lists) == 0
	}
	rules, exceptions := readFile(p, root)
	checkLists(p, rules, lists)
	if err := p.Err(name); err != nil {
		return nil, err
	}
	set := compile(rules, lists...)
	set.exceptions, set.excepted = exceptions, map[mail.Domain]*exception.Exception{}
	for i := range exceptions {
		set.excepted[exceptions[i].Domain] = &exceptions[i]
	}
	return set, nil
}

// readFile reads the top level: nothing but [[rule]] and [[exception]].
func readFile(p *rule.Problems, root *tomlfile.Node) (rules []rule.Rule, exceptions []exception.Exception) {
	for _, e := range root.Keys {
		switch {
		case e.Key == "exception":
			exceptions = exception.Read(&p.Problems, e)
		case e.Key == "list", e.Key == "content": // rulelist.Read read them
		case e.Key != "rule":
			hint := "a rules file holds only [[rule]], [[list]] and [[exception]], and what belongs to them"
			if near := tomlfile.Slip(e.Key, []string{"rule", "list"}); near != "" {
				hint = "write [[" + near + "]]"
			}
			p.Add(e.At, fmt.Sprintf("unknown key %s", tomlfile.Quote(tomlfile.Clip(e.Key))), hint)
		case e.Value.Kind != unstable.Array:
			p.Add(e.At, "rule must be a list of rules", "write [[rule]], with two brackets")
		case len(e.Value.Items) > MaxRules:
			p.Add(e.At, fmt.Sprintf("%d rules, at most %d are allowed", len(e.Value.Items), MaxRules),
				"write rules with longer lists instead")
		default:
			rules = rule.Read(p, e)
		}
	}
	return rules, exceptions
}

// ParseError is everything wrong with a rules file.
type ParseError = tomlfile.Error

// Problem is one thing wrong, with its place and what to do.
type Problem = tomlfile.Problem

package rulevalue

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
)

// What stands in otherwise.
const (
	RouteWord  = "route:"
	BounceWord = "bounce"
	maxWays    = 5
)

// ReadWays reads the key otherwise, nil where it says no more than the default.
func ReadWays(p *tomlfile.Problems, e tomlfile.Entry) (out []string, ok bool) {
	const form = `write otherwise = ["route:portal", "bounce"]`
	if e.Value.Kind == unstable.Array && len(e.Value.Items) == 0 {
		return nil, false // the default, spelled out
	}
	seen, ended := map[string]bool{}, false
	ways := p.Strings(e, func(value string, at tomlfile.Span) {
		name, isRoute := strings.CutPrefix(value, RouteWord)
		switch {
		case ended:
			p.Add(at, "nothing can follow \"bounce\" in otherwise", "write \"bounce\" last")
		case value == BounceWord:
			ended = true
		case !isRoute || !RouteName(name):
			p.Add(at, fmt.Sprintf("%s in otherwise is no way", tomlfile.Quote(tomlfile.Clip(value))),
				form+`, where portal is the name of a [[route]]`)
		case seen[name]:
			p.Add(at, fmt.Sprintf("%s stands in otherwise twice", tomlfile.Quote(value)), "take one of them out")
		}
		seen[name] = true
	})
	switch {
	case ways == nil:
		return nil, false
	case !ended:
		p.Add(e.Value.At, "otherwise does not say what comes last", form)
	case len(ways) > maxWays+1:
		p.Add(e.Value.At, fmt.Sprintf("otherwise names %d routes, at most %d are allowed", len(ways)-1, maxWays),
			"name fewer routes")
	}
	return ways, len(ways) > 1
}

// maxRejectText bounds it in octets: it stands on one line of a reply (RFC 5321 §4.5.3.1.5).
const maxRejectText = 200

// CheckRejectText asks for what a reply can say.
func CheckRejectText(p *tomlfile.Problems, e tomlfile.Entry, s string) bool {
	if !printable(s) || len(s) > maxRejectText {
		p.Add(e.Value.At, "text is too long, or has what a reply cannot carry",
			fmt.Sprintf("write one line of at most %d printable ASCII characters", maxRejectText))
		return false
	}
	return true
}

// RouteName reports whether a text may name a route: 1 to 40 lower-case letters, digits and any of "-_.".
func RouteName(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// CheckRouteName asks for the name of a route.
func CheckRouteName(p *tomlfile.Problems, e tomlfile.Entry, s string) bool {
	if !RouteName(s) {
		p.Add(e.Value.At, fmt.Sprintf("%s is no name of a route", tomlfile.Quote(tomlfile.Clip(s))),
			`write the name of a [[route]] of the configuration: route = "portal"`)
		return false
	}
	return true
}

// CheckMailbox asks for a whole address.
func CheckMailbox(p *tomlfile.Problems, key, value string, at tomlfile.Span) {
	if a, err := mail.ParseAddress(value); err != nil || a.IsNull() || !a.IsASCII() ||
		strings.ContainsAny(value, "*?") {
		p.Add(at, fmt.Sprintf("%s in %s is no address of a mailbox", tomlfile.Quote(tomlfile.Clip(value)), key),
			`write whole addresses: to = ["archive@example.com"]`)
	}
}

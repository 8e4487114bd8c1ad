package rule

import (
	"fmt"
	"mime"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
)

// MaxFields is how many header fields are added to one message.
const MaxFields = 20

// What the settings of one rule may hold.
const (
	maxRejectText = 200 // octets: it stands on one line of a reply (RFC 5321 §4.5.3.1.5)
	maxHoldDays   = 365
	maxAdded      = 500 // octets of one added field, which is not folded (RFC 5322 §2.1.1 allows 998)
)

func checkRejectText(p *Problems, e tomlfile.Entry, s string) bool {
	if !printable(s) || len(s) > maxRejectText {
		p.Add(e.Value.At, "text is too long, or has what a reply cannot carry",
			fmt.Sprintf("write one line of at most %d printable ASCII characters", maxRejectText))
		return false
	}
	return true
}

// printable reports whether s is some printable ASCII without blanks at its ends.
func printable(s string) bool {
	return s != "" && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}

func readHoldDays(p *Problems, r *Rule, e tomlfile.Entry) {
	if e.Value.Kind == unstable.Integer {
		if n, err := strconv.ParseInt(e.Value.Text, 0, 32); err == nil && n > 0 && n <= maxHoldDays {
			r.Hold.Days = int(n)
			return
		}
	}
	p.Add(e.Value.At, fmt.Sprintf("days is no whole number from 1 to %d", maxHoldDays), "write days = 7")
}

// RouteName reports whether a text may name a route: 1 to 40 lower-case letters, digits and any of "-_.".
func RouteName(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

func checkRouteName(p *Problems, e tomlfile.Entry, s string) bool {
	if !RouteName(s) {
		p.Add(e.Value.At, fmt.Sprintf("%s is no name of a route", tomlfile.Quote(tomlfile.Clip(s))),
			`write the name of a [[route]] of the configuration: route = "portal"`)
		return false
	}
	return true
}

func checkCopyTo(p *Problems, key, value string, at tomlfile.Span) {
	if a, err := mail.ParseAddress(value); err != nil || a.IsNull() || !a.IsASCII() ||
		strings.ContainsAny(value, "*?") {
		p.Add(at, fmt.Sprintf("%s in %s is no address of a mailbox", tomlfile.Quote(tomlfile.Clip(value)), key),
			`write whole addresses: to = ["archive@example.com"]`)
	}
}

func readFields(p *Problems, r *Rule, e tomlfile.Entry) {
	const form = `write fields = [{ name = "X-Classification", value = "internal" }]`
	if e.Value.Kind != unstable.Array || len(e.Value.Items) == 0 || len(e.Value.Items) > MaxFields {
		p.Add(e.Value.At, fmt.Sprintf("fields must be a list of 1 to %d names and values", MaxFields), form)
		return
	}
	for _, item := range e.Value.Items {
		if item.Kind != unstable.Table {
			p.Add(item.At, "a value of fields must be a table, not "+tomlfile.KindName(item.Kind), form)
			continue
		}
		if f, ok := addedField(p, item, form); ok {
			r.AddHeader.Fields = append(r.AddHeader.Fields, f)
		}
	}
}

func addedField(p *Problems, item *tomlfile.Node, form string) (f HeaderMatch, ok bool) {
	before := p.Len()
	for _, k := range item.Keys {
		var said bool
		switch k.Key {
		case "name":
			if f.Name, said = p.Text(k); said {
				if why := notAddable(f.Name); why != "" {
					p.Add(k.Value.At, fmt.Sprintf("%s cannot be added: %s", tomlfile.Quote(tomlfile.Clip(f.Name)), why),
						"write a field of your own, such as X-Classification, without the colon")
				}
			}
		case "value":
			if f.Value, said = p.Text(k); said && !addableValue(f.Value) {
				p.Add(k.Value.At, "a value of fields is no line of a header",
					fmt.Sprintf("write at most %d printable ASCII characters; other letters as =?utf-8?q?...?= "+
						"(RFC 2047 §2)", maxAdded))
			}
		default:
			p.Add(k.At, fmt.Sprintf("unknown key %s in fields", tomlfile.Quote(tomlfile.Clip(k.Key))), form)
		}
	}
	if item.Get("name") == nil || item.Get("value") == nil {
		p.Add(item.At, "a value of fields needs a name and a value", form)
	}
	return f, p.Len() == before
}

// addableValue reports whether a value is one line of printable ASCII in which what looks like an encoded word is one.
func addableValue(s string) bool {
	if !printable(s) || len(s) > maxAdded {
		return false
	}
	var dec mime.WordDecoder
	for _, word := range strings.Fields(s) {
		if strings.HasPrefix(word, "=?") {
			if _, err := dec.Decode(word); err != nil && !strings.Contains(err.Error(), "charset") {
				return false
			}
		}
	}
	return true
}

// notAddable says why a field of a name cannot be added, "" where it can. A message has each field of a writer once
// (RFC 5322 §3.6), what servers wrote is evidence, and some fields are orders to servers.
func notAddable(name string) string {
	folded := strings.ToLower(name)
	switch {
	case !validFieldName(name) || len(name) > 76:
		return "it is no name of a header field"
	case strings.HasPrefix(folded, "content-") || strings.HasPrefix(folded, "mime-"):
		return "it says how the message is to be read"
	case strings.HasPrefix(folded, "resent-") || strings.HasPrefix(folded, "arc-"),
		slices.Contains([]string{"received", "return-path", "delivered-to", "authentication-results", "received-spf",
			"dkim-signature", "domainkey-signature", "tls-report-domain", "tls-report-submitter"}, folded):
		return "it is the word of a server or a signature"
	case slices.Contains([]string{"from", "sender", "reply-to", "to", "cc", "bcc", "date", "message-id", "in-reply-to",
		"references", "subject"}, folded):
		return "it is its writer's"
	case folded == "tls-required" || folded == "require-tls-esmtp":
		return "it is an order about TLS"
	}
	return ""
}

// needed are the keys without which an action does nothing.
var needed = map[Action]string{RedirectAction: "redirect.route", BCCAction: "bcc.to",
	AddHeaderAction: "add_header.fields"}

// checkNeeded asks for them.
func checkNeeded(p *Problems, r *Rule, rule *tomlfile.Node) {
	key := needed[r.Action]
	section, short, ok := strings.Cut(key, ".")
	if !ok {
		return
	}
	if table := rule.Get(section); table != nil && table.Get(short) != nil {
		return
	}
	p.Add(rule.At, fmt.Sprintf("the rule has no %s in [rule.%s]", short, section), "write it below a line [rule."+
		section+"]")
}

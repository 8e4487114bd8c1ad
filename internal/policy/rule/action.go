package rule

import (
	"fmt"
	"strings"

	"postern/internal/platform/tomlfile"
)

// Action is what a rule does to the mail it matches. The list is closed.
type Action string

// The actions. ForceTLSAction demands an authenticated channel of mail that goes out (design.md §3), RequireTLSAction a
// channel of mail that comes in; of the others policy/rules/effects.go tells.
const (
	ForceTLSAction   Action = "force-tls"
	RequireTLSAction Action = "require-tls"
	RejectAction     Action = "reject"
	HoldAction       Action = "hold"
	RedirectAction   Action = "redirect"
	BCCAction        Action = "bcc"
	AddHeaderAction  Action = "add-header"
	AllowAction      Action = "allow"
)

// deed is what the grammar knows of an action.
type deed struct {
	action Action
	words  string // of the form
	// scope is the mail it works on, Outbound or Inbound.
	scope Scope
	// section is the table of its settings, "" where it has none. No other action may have that table.
	section string
}

// deeds are the actions, in the order in which the form offers them.
var deeds = []deed{
	{ForceTLSAction, "Force TLS: over authenticated TLS, or not at all", Outbound, "force_tls"},
	{RequireTLSAction, "Require TLS: let mail in over TLS, or refuse it", Inbound, "require_tls"},
	{RejectAction, "Reject: it goes nowhere, and its sender hears why", Outbound, "reject"},
	{HoldAction, "Hold: it waits in quarantine for an administrator", Outbound, "hold"},
	{RedirectAction, "Redirect: it goes to a route of the configuration", Outbound, "redirect"},
	{BCCAction, "Bcc: others get a copy", Outbound, "bcc"},
	{AddHeaderAction, "Add header fields", Outbound, "add_header"},
	{AllowAction, "Allow: later rules do nothing to it but force TLS", Outbound, ""},
}

// sections are the tables inside a rule: its conditions, its exceptions, and the settings of each action that has some.
func sections() []string {
	out := []string{"match", "unless"}
	for _, d := range deeds {
		if d.section != "" {
			out = append(out, d.section)
		}
	}
	return out
}

func actionNames() (out []Action) {
	for _, d := range deeds {
		out = append(out, d.action)
	}
	return out
}

func actionChoices() (out []Choice) {
	for _, d := range deeds {
		out = append(out, Choice{string(d.action), d.words})
	}
	return out
}

// checkAction refuses a scope in which the action of a rule does not work, and settings of another action.
func checkAction(p *Problems, r *Rule, rule *tomlfile.Node) {
	if rule.Get("action") == nil || r.Action == "" {
		return // told already
	}
	for _, d := range deeds {
		switch settings := rule.Get(d.section); {
		case d.action == r.Action && r.Scope != d.scope && r.Scope != Disabled:
			at := rule.At
			if e := rule.Get("scope"); e != nil {
				at = e.At
			}
			p.Add(at, fmt.Sprintf("%s does not work on %s mail", r.Action, r.Scope),
				`write scope = "`+string(d.scope)+`"`)
		case d.action != r.Action && settings != nil && d.section != "":
			p.Add(settings.At, fmt.Sprintf("[rule.%s] belongs to the action %s, and this rule's is %s", d.section,
				d.action, r.Action), "take the section out, or change the action")
		}
	}
}

// Scope is the mail an action works on, "" for what is no action.
func (a Action) Scope() Scope {
	for _, d := range deeds {
		if d.action == a {
			return d.scope
		}
	}
	return ""
}

// Action is the action whose setting the key is, "" for a key that any rule may have.
func (k *Key) Action() Action {
	for _, d := range deeds {
		if d.section == k.Section() && d.section != "" {
			return d.action
		}
	}
	return ""
}

// isOf reports whether a key says something in a rule: settings of other actions do not.
func (k *Key) isOf(r *Rule) bool {
	if k.Name == "receipt" {
		return r.Demands() || r.Action == ""
	}
	of := k.Action()
	return of == "" || of == r.Action || r.Action == ""
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
	p.Add(rule.At, fmt.Sprintf("the rule has no %s in [rule.%s]", short, section),
		"write it below a line [rule."+section+"]")
}

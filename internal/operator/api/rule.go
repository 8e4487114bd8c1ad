package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"postern/internal/policy/rules"
)

// Rule is one rule with the keys and words of the rules file; docs/rules.md says what each means. What is left out has the
// file's default.
type Rule struct {
	Name        string       `json:"name" example:"clinic"`
	Description string       `json:"description,omitempty"`
	Scope       string       `json:"scope,omitempty" example:"outbound"`
	Mode        string       `json:"mode,omitempty" example:"enforce"`
	Expires     string       `json:"expires,omitempty" doc:"2027-12-31, or an instant with its zone"`
	Action      string       `json:"action" example:"force-tls"`
	Match       RuleMatch    `json:"match,omitempty"`
	ForceTLS    RuleForceTLS `json:"force_tls,omitempty"`
	Line        int          `json:"line,omitempty" readOnly:"true" doc:"in the file"`
}

// RuleMatch says which messages a rule speaks about: all that is given must hold, of a list one value.
type RuleMatch struct {
	Sender         []string     `json:"sender,omitempty"`
	Recipient      []string     `json:"recipient,omitempty"`
	Literals       bool         `json:"literals,omitempty" doc:"recipients at address literals fit recipient too"`
	SenderIP       []string     `json:"sender_ip,omitempty"`
	Header         []RuleHeader `json:"header,omitempty"`
	Subject        []string     `json:"subject,omitempty"`
	SizeOver       int64        `json:"size_over,omitempty" doc:"bytes"`
	RecipientsOver int          `json:"recipients_over,omitempty"`
	Case           bool         `json:"case,omitempty"`
}

// RuleHeader is a header field with a pattern of its value.
type RuleHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// RuleForceTLS is what the action force-tls demands.
type RuleForceTLS struct {
	Unspecified string   `json:"unspecified_recipients,omitempty" doc:"opportunistic (the box is ticked) or force"`
	Names       Names    `json:"names,omitempty"`
	MX          string   `json:"mx,omitempty"`
	Trust       string   `json:"trust,omitempty"`
	Pins        []string `json:"pins,omitempty"`
	Revocation  string   `json:"revocation,omitempty"`
	MinTLS      string   `json:"min_tls,omitempty"`
	Defer       string   `json:"defer,omitempty"`
	WithoutTLS  string   `json:"without_tls,omitempty"`
}

// Names are what a certificate must name: one of the words mx and domain, or names.
type Names []string

// word reports whether the names are one of the words.
func (n Names) word() bool { return len(n) == 1 && (n[0] == "mx" || n[0] == "domain") }

// MarshalJSON writes a word or a list.
func (n Names) MarshalJSON() ([]byte, error) {
	if n.word() {
		return json.Marshal(n[0])
	}
	return json.Marshal([]string(n))
}

// UnmarshalJSON reads a word or a list.
func (n *Names) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		*n = make(Names, 1)
		return json.Unmarshal(text, &(*n)[0])
	}
	return json.Unmarshal(text, (*[]string)(n))
}

// Schema describes both forms.
func (Names) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "mx, domain, or a list of names", OneOf: []*huma.Schema{
		{Type: huma.TypeString, Enum: []any{"mx", "domain"}}, {Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}}}}
}

// toml writes the rule as it stands in the file. Values are quoted as they came: the file's own parser judges them.
func (r *Rule) toml() string {
	var out []rules.Setting
	add := func(key, value string) {
		if value != "" {
			out = append(out, rules.Setting{Key: key, Value: value})
		}
	}
	text := func(key, value string) {
		if value != "" {
			add(key, rules.Quote(value))
		}
	}
	m, f := &r.Match, &r.ForceTLS
	text("name", r.Name)
	text("description", r.Description)
	text("scope", r.Scope)
	text("mode", r.Mode)
	add("expires", rules.Bare(r.Expires))
	text("action", r.Action)
	add("match.sender", rules.QuoteList(m.Sender))
	add("match.recipient", rules.QuoteList(m.Recipient))
	if m.Literals {
		add("match.literals", "true")
	}
	add("match.sender_ip", rules.QuoteList(m.SenderIP))
	add("match.header", headers(m.Header))
	add("match.subject", rules.QuoteList(m.Subject))
	if m.SizeOver != 0 {
		add("match.size_over", strconv.FormatInt(m.SizeOver, 10))
	}
	if m.RecipientsOver != 0 {
		add("match.recipients_over", strconv.Itoa(m.RecipientsOver))
	}
	if m.Case {
		add("match.case", "true")
	}
	text("force_tls.unspecified_recipients", f.Unspecified)
	if f.Names.word() {
		text("force_tls.names", f.Names[0])
	} else {
		add("force_tls.names", rules.QuoteList(f.Names))
	}
	text("force_tls.mx", f.MX)
	text("force_tls.trust", f.Trust)
	add("force_tls.pins", rules.QuoteList(f.Pins))
	text("force_tls.revocation", f.Revocation)
	text("force_tls.min_tls", f.MinTLS)
	text("force_tls.defer", f.Defer)
	text("force_tls.without_tls", f.WithoutTLS)
	written, _ := rules.Assemble(out)
	return written
}

func headers(list []RuleHeader) string {
	pairs := make([][2]string, len(list))
	for i, h := range list {
		pairs[i] = [2]string{h.Name, h.Value}
	}
	return rules.QuoteHeaders(pairs)
}

// ruleOf reads a rule as the Service writes it.
func ruleOf(text json.RawMessage) (Rule, error) {
	var r Rule
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields() // a key that is missing here would be lost by whoever reads, changes and writes
	if err := dec.Decode(&r); err != nil {
		return r, errors.Join(errors.New("a rule cannot be shown"), err)
	}
	return r, nil
}

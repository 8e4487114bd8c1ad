package rules

import (
	"encoding/json"
	"strings"
)

// Setting is one key of a rule with its value as TOML.
type Setting struct {
	Key   string `json:"key"` // "match.sender" stands in [rule.match]
	Value string `json:"value"`
}

// Settings returns the keys of a rule that are set, defaults included, in the order of the rules file.
func (r Rule) Settings() []Setting {
	var out []Setting
	for _, k := range keys {
		if text := k.text(&r); text != "" {
			out = append(out, Setting{k.name, text})
		}
	}
	return out
}

// TOML prints the rules in their canonical form, defaults included: Parse(TOML()) gives the same rules. Comments and
// the layout of the file they came from are not kept.
func (s *Set) TOML() []byte {
	var b strings.Builder
	for i, r := range s.rules {
		if i > 0 {
			b.WriteByte('\n')
		}
		r.print(&b)
	}
	return []byte(b.String())
}

// TOML prints one rule in its canonical form.
func (r Rule) TOML() string {
	var b strings.Builder
	r.print(&b)
	return b.String()
}

func (r Rule) print(b *strings.Builder) {
	text, _ := Assemble(r.Settings())
	b.WriteString(text)
}

// MarshalJSON writes the rule with the keys and words of the rules file.
func (r Rule) MarshalJSON() ([]byte, error) {
	type headerMatch struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	var headers []headerMatch
	for _, h := range r.Match.Header {
		headers = append(headers, headerMatch(h))
	}
	var names any = r.ForceTLS.Names.List
	if text := namesText(&r); strings.HasPrefix(text, `"`) {
		names = strings.Trim(text, `"`)
	}
	type match struct {
		Sender         []string      `json:"sender,omitempty"`
		Recipient      []string      `json:"recipient,omitempty"`
		Literals       bool          `json:"literals,omitempty"`
		SenderIP       []string      `json:"sender_ip,omitempty"`
		Header         []headerMatch `json:"header,omitempty"`
		Subject        []string      `json:"subject,omitempty"`
		SizeOver       int64         `json:"size_over,omitempty"`
		RecipientsOver int           `json:"recipients_over,omitempty"`
		Case           bool          `json:"case,omitempty"`
	}
	type forceTLS struct {
		Unspecified Unspecified `json:"unspecified_recipients"`
		Names       any         `json:"names"`
		MX          string      `json:"mx"`
		Trust       string      `json:"trust"`
		Pins        []string    `json:"pins,omitempty"`
		Revocation  string      `json:"revocation"`
		MinTLS      string      `json:"min_tls"`
		Defer       string      `json:"defer"`
		WithoutTLS  WithoutTLS  `json:"without_tls,omitempty"`
	}
	var networks []string
	for _, n := range r.Match.SenderIP {
		networks = append(networks, n.String())
	}
	m, f := r.Match, r.ForceTLS
	return json.Marshal(struct {
		Name        string   `json:"name"`
		Description string   `json:"description,omitempty"`
		Scope       Scope    `json:"scope"`
		Mode        Mode     `json:"mode"`
		Expires     string   `json:"expires,omitempty"`
		Action      Action   `json:"action"`
		Match       match    `json:"match"`
		ForceTLS    forceTLS `json:"force_tls"`
		Line        int      `json:"line,omitempty"`
	}{r.Name, r.Description, r.Scope, r.Mode, r.Expires.String(), r.Action,
		match{m.Sender, m.Recipient, m.Literals, networks, headers, m.Subject, m.SizeOver, m.RecipientsOver, m.Case},
		forceTLS{f.Unspecified, names, mxWords[f.MX], f.Trust, f.Pins, revocationWords[f.Revocation],
			strings.Trim(minTLSText(&r), `"`), durationText(f.Defer), f.WithoutTLS},
		r.Line})
}

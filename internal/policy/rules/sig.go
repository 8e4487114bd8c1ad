package rules

import "time"

// Parse reads a rules file. name stands in error messages.
func Parse(name string, text []byte) (*Set, error) { return &Set{}, nil }

// Evaluate decides for one message.
func (s *Set) Evaluate(f *Facts) Decision {
	return Decision{Recipients: make([]Outcome, len(f.Recipients))}
}

// NeedsHeader reports whether any rule in force or under test looks at the header.
func (s *Set) NeedsHeader() bool { return false }

// Explain says which rules match a message, and each recipient's requirement and why.
func (s *Set) Explain(f *Facts) Explanation { return Explanation{} }

// Explanation is the answer of Explain.
type Explanation struct {
	Rules      []RuleExplanation      `json:"rules"`
	Recipients []RecipientExplanation `json:"recipients"`
}

// RuleExplanation says of one rule whether it matches and why.
type RuleExplanation struct {
	Rule    string             `json:"rule"`
	Mode    Mode               `json:"mode"`
	Matched bool               `json:"matched"`
	Skipped string             `json:"skipped,omitempty"` // why it was not looked at: disabled, expired
	Fields  []FieldExplanation `json:"fields,omitempty"`
}

// FieldExplanation says of one condition whether it holds and why.
type FieldExplanation struct {
	Field   string `json:"field"`
	Matched bool   `json:"matched"`
	Why     string `json:"why"`
}

// RecipientExplanation says what one recipient's requirement is and which rule asks for each part.
type RecipientExplanation struct {
	Recipient string  `json:"recipient"`
	Outcome   Outcome `json:"-"`
	Parts     []Part  `json:"parts,omitempty"`
}

// Part is one demand and the rules that make it.
type Part struct {
	Demand string   `json:"demand"`
	Rules  []string `json:"rules"`
}

// TOML prints the rules in their canonical form: Parse(TOML()) gives the same rules.
func (s *Set) TOML() []byte { return nil }

// Diff compares two sets rule by rule.
func Diff(old, new *Set) []Change { return nil }

// ChangeKind says how a rule differs.
type ChangeKind string

// The kinds of change.
const (
	Added   ChangeKind = "added"
	Removed ChangeKind = "removed"
	Changed ChangeKind = "changed"
)

// Change is one rule that differs between two sets.
type Change struct {
	Rule   string        `json:"rule"`
	Kind   ChangeKind    `json:"kind"`
	Fields []FieldChange `json:"fields,omitempty"`
	// Weaker says that some message may be protected less than before.
	Weaker bool   `json:"weaker"`
	Why    string `json:"why,omitempty"`
}

// FieldChange is one key's value before and after, as TOML text; "" means unset.
type FieldChange struct {
	Field  string `json:"field"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	Weaker bool   `json:"weaker,omitempty"`
}

// Warnings lists what an administrator should know about rules that are valid.
func (s *Set) Warnings(now time.Time) []Warning { return nil }

// Warning is one thing to know about a rule.
type Warning struct {
	Rule string `json:"rule"`
	Line int    `json:"line"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

package rule

import "strings"

// Conditions are the settings of [rule.match] that narrow the rule.
func (r *Rule) Conditions() []Setting { return r.ConditionsIn("match.") }

// ConditionsIn are the settings of a section that narrow it.
func (r *Rule) ConditionsIn(section string) []Setting {
	var out []Setting
	for _, set := range r.Settings() {
		if strings.HasPrefix(set.Key, section) && set.Key != section+"case" && set.Key != section+"literals" {
			out = append(out, set)
		}
	}
	return out
}

// Section is what stands in a section, as TOML.
func (r *Rule) Section(name string) string {
	var b strings.Builder
	for i := range keys {
		if keys[i].Section() == name {
			b.WriteString(keys[i].Text(r) + "\n")
		}
	}
	return b.String()
}

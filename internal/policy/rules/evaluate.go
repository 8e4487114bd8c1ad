package rules

import (
	"encoding/binary"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulematch"
)

// Decision is what the rules demand for one message.
type Decision struct {
	Recipients []Outcome // in the order of Facts.Recipients
}

// Outcome is what the rules demand for one recipient. Outcomes share memory with each other and with the Set: treat
// them as read-only.
type Outcome struct {
	Requirement policy.Requirement `json:"requirement"`
	// Rules are the names of the rules that shaped the requirement, in the order of the file.
	Rules []string `json:"rules,omitempty"`
	// Demands is the requirement by the rules that made it, in their order; those that demand nothing are left out.
	Demands []policy.Demand `json:"-"`
	// Matched says that one of Rules names this very recipient; false for one that is only tainted or unspecified.
	Matched bool `json:"matched,omitempty"`
	// Window is how long the delivery may wait for the requirement; 0 means the ordinary lifetime.
	Window time.Duration `json:"-"`
	// Tested are the rules under test that would have shaped the requirement, and TestedRequirement what it would
	// have been with them; the zero Requirement when Tested is empty.
	Tested            []string           `json:"tested,omitempty"`
	TestedRequirement policy.Requirement `json:"tested_requirement,omitzero"`
	// Effects are what rules do with the mail, once, at acceptance; see effects.go.
	Effects policy.Effects `json:"effects,omitempty"`
}

// hit is a rule that matches the message, and its role for every recipient.
type hit struct {
	rule  *compiled
	roles []rule.Role
}

// firstNamed is the first recipient that the rule names.
func (h *hit) firstNamed(to []mail.Address) string {
	for i, r := range h.roles {
		if r == rule.Named {
			return to[i].String()
		}
	}
	return "another recipient"
}

// Evaluate decides for one message. It is safe for concurrent use.
func (s *Set) Evaluate(f *rulematch.Facts) Decision { return s.evaluate(s.reader.Message(f)) }

func (s *Set) evaluate(m *rulematch.Message) Decision {
	d := Decision{Recipients: make([]Outcome, len(m.Recipients))}
	var hits []hit
	for i := range s.index.Find(m).All {
		if h, ok := s.live[i].match(m); ok {
			hits = append(hits, h)
		}
	}
	if len(hits) == 0 {
		return d
	}
	joined := map[string]Outcome{} // by the roles of all hits: most recipients of a message are alike
	sums := map[string]policy.Requirement{}
	roles := make([]byte, len(hits))
	for i := range d.Recipients {
		for j, h := range hits {
			roles[j] = byte(h.roles[i])
		}
		out, known := joined[string(roles)]
		if !known {
			out = join(hits, i, sums)
			joined[string(roles)] = out
		}
		d.Recipients[i] = out
	}
	return d
}

// match reports whether the rule matches, and what it does to whom.
func (c *compiled) match(m *rulematch.Message) (h hit, ok bool) {
	if c.over(m.Now) || !c.when.Holds(m) {
		return h, false
	}
	as, ok := c.assign(m)
	return hit{c, as}, ok
}

// over reports whether the rule has ended. It is Expiry.Over without following the pointer to the rule.
func (c *compiled) over(now time.Time) bool { return !c.expires.IsZero() && !now.Before(c.expires) }

// assign says what the rule does to each recipient; ok is false when it names none.
func (c *compiled) assign(m *rulematch.Message) (as []rule.Role, ok bool) {
	except := c.when.Excepted(m)
	for i := range m.Recipients {
		if !c.when.Names(m, i, except) {
			continue
		}
		if as == nil {
			as = make([]rule.Role, len(m.Recipients))
		}
		as[i] = rule.Named
	}
	if as == nil {
		return nil, false
	}
	others := rule.Tainted
	switch {
	case !c.Demands():
		others = rule.Untouched
	case c.ForceTLS.Unspecified == rule.UnspecifiedOpportunistic:
		others = rule.Unforced
	}
	for i := range as {
		if as[i] == rule.Untouched && !m.Ours(i) {
			as[i] = others
		}
	}
	return as, true
}

// join adds up what the hits demand for recipient i: requirements by policy.Combine, the shortest window. sums keeps
// the joins made for other recipients.
func join(hits []hit, i int, sums map[string]policy.Requirement) Outcome {
	var out Outcome
	var enforced, all sum
	for _, h := range hits {
		as := h.roles[i]
		if as == rule.Untouched || !h.rule.Demands() {
			continue
		}
		e := h.rule.effect(as)
		all.add(&e)
		if h.rule.Mode == rule.Test {
			out.Tested = append(out.Tested, h.rule.Name)
			continue
		}
		enforced.add(&e)
		out.Matched = out.Matched || as == rule.Named
		if w := h.rule.ForceTLS.Defer; as != rule.Unforced && (out.Window == 0 || w < out.Window) {
			out.Window = w
		}
	}
	out.Requirement = enforced.combine(sums)
	out.Rules, out.Demands = shapers(hits, i, out.Requirement.Forced())
	if len(out.Tested) > 0 {
		out.TestedRequirement = all.combine(sums)
	}
	out.Effects = effectsOn(hits, i)
	return out
}

// shapers are the rules in force that made the requirement of recipient i, and what each demands. A rule that leaves
// the recipient unforced shapes nothing where another forces it.
func shapers(hits []hit, i int, forced bool) (names []string, demands []policy.Demand) {
	for _, h := range hits {
		as := h.roles[i]
		if h.rule.Mode != rule.Enforce || as == rule.Untouched || !h.rule.Demands() || forced && as == rule.Unforced {
			continue
		}
		names = append(names, h.rule.Name)
		e := h.rule.effect(as)
		demands = append(demands, policy.Demand{Source: policy.FromRule(h.rule.Name), Requirement: e.requirement})
	}
	return names, demands
}

// sum collects different effects; most rules demand the same.
type sum struct {
	numbers []byte // of the effects, four bytes each
	parts   []policy.Requirement
}

func (s *sum) add(e *effect) {
	for i := 0; i < len(s.numbers); i += 4 {
		if binary.NativeEndian.Uint32(s.numbers[i:]) == uint32(e.number) {
			return
		}
	}
	s.numbers = binary.NativeEndian.AppendUint32(s.numbers, uint32(e.number))
	s.parts = append(s.parts, e.requirement)
}

func (s *sum) combine(sums map[string]policy.Requirement) policy.Requirement {
	switch len(s.parts) {
	case 0:
		return policy.Requirement{}
	case 1:
		return s.parts[0]
	}
	r, known := sums[string(s.numbers)]
	if !known {
		r = policy.Combine(s.parts...)
		sums[string(s.numbers)] = r
	}
	return r
}

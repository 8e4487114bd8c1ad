package rules

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/pattern"
)

// Set is the rules in force, compiled. It never changes after Parse and is safe for concurrent use. The zero Set has
// no rules.
type Set struct {
	rules []Rule
	// exceptions are those of the file, ended ones included.
	exceptions []Exception
	excepted   map[mail.Domain]*Exception // the same by domain, for each plan asks
	live       []compiled                 // the rules that can apply: all but disabled ones, in the order of the file
	byName     map[string]int32           // positions in live
	index      index
	fields     []string // lower-case names of the header fields that rules look at
	// expressionText is how many octets of one field "re:" expressions are held against.
	expressionText int
}

// The time an expression takes grows with its own length times that of the text. What the expressions of a Set may take
// for one message is bounded, in instructions times octets: the more they have in all, the shorter a text may be. The
// least it may be is more than people write, so it is the instructions that are bounded in the end.
const (
	maxSteps       = 1 << 26
	maxPrograms    = 200_000
	leastFieldText = 512
)

// compiled is a rule made ready: conditions as matchers, effects as requirements. What most rules are dismissed by
// stands in it, because following a pointer for each of 10,000 rules costs more than all comparisons.
type compiled struct {
	expires           time.Time
	sizeOver          int64
	recipientsOver    int
	networks          []netip.Prefix
	sender, recipient *pattern.Addresses // nil: no condition
	headers, subjects []headerCondition
	// effects is what the rule demands for a recipient by its role. Rules that demand the same share it, even where
	// each remembers names of its own: effect adds pinnedBy.
	effects  *[roles]effect
	pinnedBy []string // the rule, if it remembers names
	position int32    // in Set.live
	*Rule
}

// effect is a requirement with a number that only equal ones share, so that each is joined only once.
type effect struct {
	requirement policy.Requirement
	number      int32 // below 0 for those of one rule
}

// headerCondition is a pattern for the values of one field, a position in Set.fields.
type headerCondition struct {
	field   int
	pattern pattern.Text
}

// role is what a rule that matches a message does to one of the recipients.
type role uint8

const (
	untouched role = iota
	unforced       // not named, the box ticked: the ladder begins at authenticated TLS
	named          // the rule names it
	tainted        // not named, the box unticked
	roles     = iota
)

// compile makes a Set of rules that passed Parse: their patterns compile.
func compile(rules []Rule) *Set {
	s := &Set{rules: rules, byName: map[string]int32{}}
	c := compiler{fields: map[string]int{}, numbers: map[string]int{}, effects: map[string]*[roles]effect{}}
	for i := range rules {
		if rules[i].Scope == Outbound {
			s.byName[rules[i].Name] = int32(len(s.live))
			s.live = append(s.live, c.rule(&rules[i], int32(len(s.live))))
		}
	}
	s.index = newIndex(s.live, len(c.fields))
	s.expressionText = min(max(maxSteps/max(c.programs, 1), leastFieldText), pattern.MaxText)
	s.fields = make([]string, len(c.fields))
	for name, i := range c.fields {
		s.fields[i] = name
	}
	return s
}

// compiler numbers what rules share.
type compiler struct {
	fields  map[string]int
	numbers map[string]int            // by Requirement.Key
	effects map[string]*[roles]effect // by what stands in [rule.force_tls]

	programs int // instructions of all expressions for header values
}

func (c *compiler) rule(r *Rule, position int32) compiled {
	out := compiled{Rule: r, position: position, effects: c.effectsOf(r), expires: r.Expires.At,
		sizeOver: r.Match.SizeOver, recipientsOver: r.Match.RecipientsOver, networks: r.Match.SenderIP}
	if r.pins() {
		out.pinnedBy = []string{r.Name}
	}
	out.sender = pattern.CompileAddresses(r.Match.Sender, r.Match.Case)
	out.recipient = pattern.CompileAddresses(r.Match.Recipient, r.Match.Case)
	if out.recipient != nil {
		out.recipient.Literals = r.Match.Literals
	}
	for _, h := range r.Match.Header {
		out.headers = append(out.headers, c.header(h.Name, h.Value, r.Match.Case))
	}
	for _, value := range r.Match.Subject {
		out.subjects = append(out.subjects, c.header("Subject", value, r.Match.Case))
	}
	return out
}

func (c *compiler) header(name, value string, caseMatters bool) headerCondition {
	p, _ := pattern.CompileText(value, caseMatters) // Parse compiled it before
	c.programs += p.Size()
	return headerCondition{number(c.fields, strings.ToLower(name)), p}
}

// number returns the number of a key, the next one for a new key.
func number(m map[string]int, key string) int {
	n, ok := m[key]
	if !ok {
		n = len(m)
		m[key] = n
	}
	return n
}

func (c *compiler) effectsOf(r *Rule) *[roles]effect {
	section := ""
	for _, k := range keys {
		if k.Section() == "force_tls" {
			section += k.text(r) + "\n"
		}
	}
	if known, ok := c.effects[section]; ok {
		return known
	}
	var out [roles]effect
	for as := unforced; as < roles; as++ {
		req := r.requirement(as)
		out[as] = effect{req, int32(number(c.numbers, req.Key()))}
	}
	c.effects[section] = &out
	return &out
}

// effect is what the rule demands for a recipient in that role.
func (c *compiled) effect(as role) effect {
	e := c.effects[as]
	if c.pinnedBy != nil && as != unforced { // what is remembered belongs to the rule, so no other demands the same
		e.requirement.PinnedBy = c.pinnedBy
		e.number = -1 - int32(roles)*c.position - int32(as)
	}
	return e
}

// requirement is what the rule demands for a recipient in that role (design.md §3).
func (r *Rule) requirement(as role) policy.Requirement {
	f := r.ForceTLS
	if as == unforced {
		return policy.Requirement{Aim: policy.Authenticated}
	}
	out := policy.Requirement{
		Channel:    policy.Authenticated,
		Peer:       []policy.PeerDemand{{Trust: f.Trust, Names: f.Names, Pins: f.Pins, By: f.Proof}},
		Revocation: f.Revocation,
		MinTLS:     f.MinTLS,
		WithoutTLS: r.withoutTLS(as == named),
	}
	if f.Names.MX && f.Proof != policy.ByTLSA { // else the administrator named the host, or the certificate proves the domain, whatever DNS says
		out.MX = f.MX
	}
	if r.pins() {
		out.PinnedBy = []string{r.Name}
	}
	return policy.Combine(out)
}

// pins reports whether the rule remembers the names of mail hosts.
func (r *Rule) pins() bool {
	return r.ForceTLS.Proof != policy.ByTLSA && r.ForceTLS.Names.MX && r.ForceTLS.MX == policy.MXPinned
}

// Rules returns the rules in the order of the file. The slice belongs to the Set.
func (s *Set) Rules() []Rule { return s.rules }

// HeaderFields are the header fields that rules in force or under test look at, in lower case.
func (s *Set) HeaderFields() []string {
	if s == nil {
		return nil
	}
	return slices.Clone(s.fields)
}

// NeedsHeader reports whether a rule in force or under test looks at the header.
func (s *Set) NeedsHeader() bool {
	return len(s.fields) > 0
}

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
	lists      []NamedList                // in the order of the file
	book       listBook                   // the same, ready
	contents   []int                      // where what files of lists held stands in the file, as lines
	live       []compiled                 // the rules about outgoing mail but disabled ones, in the order of the file
	inbound    inboundRules               // those about mail that comes in
	byName     map[string]int32           // positions in live
	index      index
	fields     []string // lower-case names of the header fields that rules look at
	// authors are the positions in fields of those that say whose mail a message is.
	authors []int
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
	domain            *domainCondition
	sender, recipient *addressCondition // nil: no condition
	headers, subjects []headerCondition
	attachments       []headerCondition
	bodies            []headerCondition
	unless            *compiled // conditions alone; nil: no exception
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

// headerCondition is a pattern for the values of one field, a position in Set.fields, which may be one of the content
// (content.go), or asks for the field alone.
type headerCondition struct {
	field   int
	pattern pattern.Text
	exists  bool // any value will do, and pattern is none
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
func compile(rules []Rule, lists ...NamedList) *Set {
	s := &Set{rules: rules, lists: lists, byName: map[string]int32{}}
	s.book = newListBook(lists)
	c := compiler{book: &s.book, fields: map[string]int{}, numbers: map[string]int{},
		effects: map[string]*[roles]effect{}}
	for i := range rules {
		if rules[i].Scope == Outbound {
			s.byName[rules[i].Name] = int32(len(s.live))
			s.live = append(s.live, c.rule(&rules[i], int32(len(s.live))))
		}
	}
	s.inbound = c.inbound(rules)
	s.book.make()
	s.index = newIndex(s.live, len(c.fields))
	s.expressionText = min(max(maxSteps/max(c.programs, 1), leastFieldText), pattern.MaxText)
	s.fields = make([]string, len(c.fields))
	s.authors = c.authors
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

	book *listBook

	authors []int // see Set
}

func (c *compiler) rule(r *Rule, position int32) compiled {
	out := compiled{Rule: r, position: position, effects: c.effectsOf(r), expires: r.Expires.At}
	if r.pins() {
		out.pinnedBy = []string{r.Name}
	}
	c.conditions(&out)
	out.unless = c.exception(r)
	return out
}

// conditions makes the conditions of a rule ready.
func (c *compiler) conditions(out *compiled) {
	r := out.Rule
	out.sizeOver, out.recipientsOver, out.networks = r.Match.SizeOver, r.Match.RecipientsOver, r.Match.SenderIP
	if len(r.Domain) > 0 {
		out.domain = &domainCondition{r.Domain, r.Below}
		for _, name := range authorFields() {
			c.authors = append(c.authors, number(c.fields, strings.ToLower(name)))
		}
		slices.Sort(c.authors)
		c.authors = slices.Compact(c.authors)
	}
	out.sender = c.addresses(r.Match.Sender, r.Match.Case)
	out.recipient = c.addresses(r.Match.Recipient, r.Match.Case)
	if out.recipient != nil {
		out.recipient.Literals = r.Match.Literals
	}
	for _, h := range r.Match.Header {
		out.headers = append(out.headers, c.header(h.Name, h.Value, r.Match.Case))
	}
	for _, value := range r.Match.Subject {
		out.subjects = append(out.subjects, c.header("Subject", value, r.Match.Case))
	}
	for _, value := range r.Match.Attachment {
		out.attachments = append(out.attachments, c.header(attachmentField, value, r.Match.Case))
	}
	for _, value := range r.Match.Body {
		out.bodies = append(out.bodies, c.header(bodyField, value, r.Match.Case))
	}
}

func (c *compiler) header(name, value string, caseMatters bool) headerCondition {
	field := number(c.fields, strings.ToLower(name))
	if value == "" {
		return headerCondition{field: field, exists: true}
	}
	p, _ := pattern.CompileText(value, caseMatters) // Parse compiled it before
	c.programs += p.Size()
	return headerCondition{field: field, pattern: p}
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
	if !r.demands() {
		return policy.Requirement{}
	}
	if as == unforced {
		return policy.Requirement{Aim: policy.Authenticated}
	}
	out := policy.Requirement{
		Channel:    policy.Authenticated,
		Peer:       []policy.PeerDemand{{Trust: f.Trust, Names: f.Names, Pins: f.Pins, By: f.Proof}},
		Revocation: f.Revocation,
		MinTLS:     f.MinTLS,

		KeyExchange: f.KeyExchange,
		MinBits:     f.MinBits,
		WithoutTLS:  r.withoutTLS(as == named),
	}
	// else the administrator named the host, or the certificate proves the domain, whatever DNS says
	if f.Names.MX && f.Proof != policy.ByTLSA {
		out.MX = f.MX
	}
	if r.pins() {
		out.PinnedBy = []string{r.Name}
	}
	return policy.Combine(out)
}

// pins reports whether the rule remembers the names of mail hosts.
func (r *Rule) pins() bool {
	return r.demands() && r.ForceTLS.Proof != policy.ByTLSA && r.ForceTLS.Names.MX && r.ForceTLS.MX == policy.MXPinned
}

// Rules returns the rules in the order of the file. The slice belongs to the Set.
func (s *Set) Rules() []Rule { return s.rules }

// HeaderFields are the header fields that rules in force or under test look at, in lower case.
func (s *Set) HeaderFields() []string {
	if s == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.fields), func(name string) bool { return strings.HasPrefix(name, ":") })
}

// NeedsHeader reports whether a rule in force or under test looks at the header.
func (s *Set) NeedsHeader() bool {
	return len(s.fields) > 0
}

package rules

import (
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/exception"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulelist"
	"postern/internal/policy/rulematch"
)

// Set is the rules in force, compiled. It never changes after Parse and is safe for concurrent use. The zero Set has
// no rules.
type Set struct {
	rules []rule.Rule
	// exceptions are those of the file, ended ones included.
	exceptions []exception.Exception
	excepted   map[mail.Domain]*exception.Exception // the same by domain, for each plan asks
	lists      []rulelist.List                      // in the order of the file
	live       []compiled                           // about outgoing mail and not disabled, in the order of the file
	inbound    inboundRules                         // those about mail that comes in
	byName     map[string]int32                     // positions in live
	index      rulematch.Index                      // of live
	reader     rulematch.Reader
}

// compiled is a rule made ready: what it asks of a message, and its demands as requirements.
type compiled struct {
	expires time.Time
	when    rulematch.Conditions
	// effects is what the rule demands for a recipient by its role. Rules that demand the same share it, even where
	// each remembers names of its own: effect adds pinnedBy.
	effects  *[rule.Roles]effect
	pinnedBy []string // the rule, if it remembers names
	position int32    // in Set.live
	*rule.Rule
}

// effect is a requirement with a number that only equal ones share, so that each is joined only once.
type effect struct {
	requirement policy.Requirement
	number      int32 // below 0 for those of one rule
}

// compile makes a Set of rules that passed Parse: their patterns compile.
func compile(rules []rule.Rule, lists ...rulelist.List) *Set {
	s := &Set{rules: rules, lists: lists, byName: map[string]int32{}}
	c := rulematch.NewCompiler(lists)
	demands := demandCompiler{numbers: map[string]int{}, effects: map[string]*[rule.Roles]effect{}}
	for i := range rules {
		switch r := &rules[i]; r.Scope {
		case rule.Outbound:
			position := int32(len(s.live))
			s.byName[r.Name] = position
			out := compiled{Rule: r, position: position, effects: demands.of(r), expires: r.Expires.At, when: c.Rule(r)}
			if r.PinsHosts() {
				out.pinnedBy = []string{r.Name}
			}
			s.live = append(s.live, out)
		case rule.Inbound:
			s.inbound.add(r, c.Rule(r))
		}
	}
	s.reader = c.Reader()
	s.index, s.inbound.index = indexOf(s.live, &s.reader), indexOf(s.inbound.list, &s.reader)
	return s
}

func indexOf(list []compiled, r *rulematch.Reader) rulematch.Index {
	return rulematch.NewIndex(len(list), func(i int) *rulematch.Conditions { return &list[i].when }, r)
}

// demandCompiler numbers the demands that rules share.
type demandCompiler struct {
	numbers map[string]int                 // by Requirement.Key
	effects map[string]*[rule.Roles]effect // by what stands in [rule.force_tls]
}

// of is what a rule demands for a recipient by its role.
func (c *demandCompiler) of(r *rule.Rule) *[rule.Roles]effect {
	section := r.Section("force_tls")
	if known, ok := c.effects[section]; ok {
		return known
	}
	var out [rule.Roles]effect
	for as := rule.Unforced; as < rule.Roles; as++ {
		req := r.Demand(as)
		key := req.Key()
		number, known := c.numbers[key]
		if !known {
			number = len(c.numbers)
			c.numbers[key] = number
		}
		out[as] = effect{req, int32(number)}
	}
	c.effects[section] = &out
	return &out
}

// effect is what the rule demands for a recipient in that role.
func (c *compiled) effect(as rule.Role) effect {
	e := c.effects[as]
	if c.pinnedBy != nil && as != rule.Unforced { // what is remembered is the rule's, so no other demands the same
		e.requirement.PinnedBy = c.pinnedBy
		e.number = -1 - int32(rule.Roles)*c.position - int32(as)
	}
	return e
}

// Rules returns the rules in the order of the file. The slice belongs to the Set.
func (s *Set) Rules() []rule.Rule { return s.rules }

// HeaderFields are the header fields that rules in force or under test look at, in lower case.
func (s *Set) HeaderFields() []string {
	if s == nil {
		return nil
	}
	return s.reader.HeaderFields()
}

// NeedsHeader reports whether a rule in force or under test looks at the header.
func (s *Set) NeedsHeader() bool { return s.reader.NeedsHeader() }

// NeedsContent reports whether a rule in force or under test looks at attachments or text.
func (s *Set) NeedsContent() bool { return s != nil && s.reader.NeedsContent() }

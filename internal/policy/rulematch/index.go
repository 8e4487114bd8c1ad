package rulematch

import (
	"postern/internal/policy/authorship"
	"postern/internal/policy/pattern"
)

// Index finds the rules that may match a message without looking at each. Every live rule stands in it by one of its
// conditions, the first of recipient, subject, header, body, attachment, sender, domain and sender_ip whose every value
// says enough to be looked up, or else in always. What it finds is then held against the message: the index decides
// nothing. Rules are numbers.
type Index struct {
	rules               int // in all
	recipients, senders partyIndex
	texts               []pattern.TextIndex // of fields by their position in Reader.fields, in values with case folded
	networks            pattern.NetworkIndex
	domains             authorship.Index
	always              []int32

	byText bool // some rule stands in texts
}

// NewIndex is an index of a number of rules, whose conditions at tells.
func NewIndex(rules int, at func(rule int) *Conditions, r *Reader) Index {
	ix := Index{rules: rules}
	var recipients, senders partyIndexer
	texts := make([]pattern.TextIndexer, len(r.fields))
	for i := range rules {
		switch c, n := at(i), int32(i); {
		case recipients.add(c.Recipient, n):
		case addTexts(texts, c.subjects, n), addTexts(texts, c.headers, n), addTexts(texts, c.bodies, n),
			addTexts(texts, c.attachments, n):
			ix.byText = true
		case senders.add(c.Sender, n):
		case ix.domains.Add(c.domain, n):
		case len(c.networks) > 0:
			ix.networks.Add(c.networks, n)
		default:
			ix.always = append(ix.always, n)
		}
	}
	ix.recipients, ix.senders = recipients.index(), senders.index()
	for i := range texts {
		ix.texts = append(ix.texts, texts[i].Index())
	}
	return ix
}

// addTexts adds a rule by literal text of each of its conditions, or reports that one has none.
func addTexts(texts []pattern.TextIndexer, conditions []textCondition, rule int32) bool {
	for i := range conditions {
		if !conditions[i].pattern.Telling() {
			return false
		}
	}
	for i := range conditions {
		texts[conditions[i].field].Add(&conditions[i].pattern, rule)
	}
	return len(conditions) > 0
}

// Find returns the rules that may match.
func (ix *Index) Find(m *Message) pattern.Candidates {
	found := make(pattern.Candidates, (ix.rules+63)/64)
	found.Add(ix.always)
	ix.senders.find([]Party{m.from}, found)
	ix.recipients.find(m.recipients, found)
	if m.Somebody {
		ix.networks.All(found)
	} else {
		ix.networks.Find(m.client, found)
	}
	if !ix.domains.Empty() {
		ix.domains.Find(m.ties(), found)
	}
	if ix.byText {
		ix.findTexts(m, found)
	}
	return found
}

// findTexts looks at header fields. Where they cannot be judged every rule about them may match.
func (ix *Index) findTexts(m *Message, found pattern.Candidates) {
	for field := range ix.texts {
		if m.cut(field) {
			ix.texts[field].All(found)
			continue
		}
		ix.texts[field].Find(m.valuesOf(field), found)
	}
}

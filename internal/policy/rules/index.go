package rules

import "postern/internal/policy/pattern"

// index finds the rules that may match a message without looking at each. Every live rule stands in it by one of its
// conditions, the first of recipient, subject, header, body, attachment, sender, domain and sender_ip whose every value
// says enough to be looked up, or else in always. What it finds is then held against the message: the index decides
// nothing. Rules are positions in Set.live.
type index struct {
	rules               int // in all
	recipients, senders partyIndex
	texts               []pattern.TextIndex // of header fields, by position in Set.fields, in values with case folded
	networks            pattern.NetworkIndex
	domains             domainIndex
	always              []int32

	byText bool // some rule stands in texts
}

func newIndex(live []compiled, fields int) index {
	ix := index{rules: len(live)}
	var recipients, senders partyIndexer
	texts := make([]pattern.TextIndexer, fields)
	for i := range live {
		switch c, n := &live[i], int32(i); {
		case recipients.add(c.recipient, n):
		case addTexts(texts, c.subjects, n), addTexts(texts, c.headers, n), addTexts(texts, c.bodies, n),
			addTexts(texts, c.attachments, n):
			ix.byText = true
		case senders.add(c.sender, n):
		case ix.domains.add(c.domain, n):
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
func addTexts(texts []pattern.TextIndexer, conditions []headerCondition, rule int32) bool {
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

// find returns the rules that may match.
func (ix *index) find(m *message) pattern.Candidates {
	found := make(pattern.Candidates, (ix.rules+63)/64)
	found.Add(ix.always)
	ix.senders.find([]party{m.from}, found)
	ix.recipients.find(m.recipients, found)
	ix.networks.Find(m.client, found)
	ix.domains.find(m, found)
	if ix.byText {
		ix.findTexts(m, found)
	}
	return found
}

// findTexts looks at header fields. Where they cannot be judged every rule about them may match.
func (ix *index) findTexts(m *message, found pattern.Candidates) {
	for field := range ix.texts {
		if m.cut(field) {
			ix.texts[field].All(found)
			continue
		}
		ix.texts[field].Find(m.valuesOf(field), found)
	}
}

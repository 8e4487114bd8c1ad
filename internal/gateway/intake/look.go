package intake

import (
	"postern/internal/gateway/inforce"
	"postern/internal/mail/mimewalk"
	"postern/internal/smtp/smtpserver"
)

// look reads attachments and text of a message while it streams by, where rules in force ask for them when it begins.
type look struct {
	walker *mimewalk.Walker // nil: nobody asks
	memory *smtpserver.Memory
	taken  int
}

// lookStep is in what steps a look takes memory.
const lookStep = 16 << 10

// begin begins to look where rules ask.
func (l *look) begin(view *inforce.View, memory *smtpserver.Memory) {
	l.memory = memory
	if view.Err == nil && view.Rules.NeedsContent() {
		l.walker = &mimewalk.Walker{}
	}
}

// add takes the next octets. false: there is no memory for what they say just now.
func (l *look) add(p []byte) bool {
	if l.walker == nil {
		return true
	}
	_, _ = l.walker.Write(p) // it never fails
	for l.memory != nil && l.walker.Size() > l.taken+lookStep {
		if !l.memory.Take(lookStep) {
			return false
		}
		l.taken += lookStep
	}
	return true
}

// content is what was seen for whoever judges by a View. It is nil where its rules ask and those of the beginning did
// not: what nobody looked at counts as a match.
func (l *look) content(view *inforce.View) *mimewalk.Content {
	if l.walker == nil && view.Err == nil && view.Rules.NeedsContent() {
		return nil
	}
	var out mimewalk.Content
	if l.walker != nil {
		out = l.walker.Content()
	}
	return &out
}

// release gives the memory back.
func (l *look) release() {
	if l.memory != nil {
		l.memory.Give(l.taken)
	}
	l.taken, l.walker = 0, nil
}

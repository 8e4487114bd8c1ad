package intake

import (
	"postern/internal/gateway/inforce"
	"postern/internal/smtp/smtpserver"
)

// look is a look at attachments and text of a message while it streams by, with the memory that it takes.
type look struct {
	*inforce.Look // nil: nobody asks
	memory        *smtpserver.Memory
	taken         int
}

// lookStep is in what steps a look takes memory.
const lookStep = 16 << 10

// add takes the next octets. false: there is no memory for what they say just now.
func (l *look) add(p []byte) bool {
	_, _ = l.Write(p) // it never fails
	for l.memory != nil && l.Size() > l.taken+lookStep {
		if !l.memory.Take(lookStep) {
			return false
		}
		l.taken += lookStep
	}
	return true
}

// release gives the memory back.
func (l *look) release() {
	if l.memory != nil {
		l.memory.Give(l.taken)
	}
	*l = look{}
}

package inforce

import "postern/internal/mail/mimewalk"

// Look reads attachments and text of a message that is to be judged, where rules ask for them: the message is written
// to it while it comes in. nil is the Look of rules that ask for nothing, and takes everything. A Look is for one
// goroutine.
type Look struct {
	walker mimewalk.Walker
	seen   *mimewalk.Content // once it was asked for
}

// Look begins a look, nil where no rule in force asks for one.
func (v *View) Look() *Look {
	if v.Err != nil || !v.Rules.NeedsContent() {
		return nil
	}
	return &Look{}
}

// Write takes the next octets of the content. It never fails.
func (l *Look) Write(p []byte) (int, error) {
	if l == nil {
		return len(p), nil
	}
	return l.walker.Write(p)
}

// Size is about how many octets it holds, at most mimewalk.Held.
func (l *Look) Size() int {
	if l == nil {
		return 0
	}
	return l.walker.Size()
}

// content is what was seen, for rules that may be others than those of the beginning: nil where they ask and nobody
// looked.
func (l *Look) content(v *View) *mimewalk.Content {
	switch {
	case l == nil && v.Rules.NeedsContent():
		return nil
	case l == nil:
		return &mimewalk.Content{}
	case l.seen == nil:
		seen := l.walker.Content()
		l.seen = &seen
	}
	return l.seen
}

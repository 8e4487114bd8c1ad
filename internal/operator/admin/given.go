package admin

import (
	"cmp"
	"context"
	"strconv"
	"sync"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/audit"
)

// What somebody takes away is told in the audit trail before it is handed out: evidence and a rules file at every
// download, the text of a rules file that is only looked at once in lookedFor for each person and revision.
const (
	lookedFor  = time.Hour
	lookedMost = 1000
)

// looks remembers what was told of lately. The zero value is ready. Safe for concurrent use.
type looks struct {
	mu  sync.Mutex
	was map[string]time.Time
}

// anew reports whether something was not told of lately, and takes note of it.
func (l *looks) anew(what string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.was[what]; ok && now.Sub(at) < lookedFor {
		return false
	}
	if l.was == nil || len(l.was) >= lookedMost { // some is told once more
		l.was = map[string]time.Time{}
	}
	l.was[what] = now
	return true
}

// takes is who takes something away.
func (d *Desk) takes() string { return cmp.Or(d.who.Name, "somebody at the socket") }

// gives tells of a download; what cannot be told is not handed out.
func (d *Desk) gives(ctx context.Context, action, target, part string) error {
	return d.who.Record(ctx, audit.Entry{At: time.Now(), By: d.takes(), Action: action, Target: target, After: part})
}

// shows tells of a look at the text of a revision. It is shown all the same where that cannot be written: whoever
// repairs the disk has to see the rules. The log says it then.
func (d *Desk) shows(ctx context.Context, revision int64) {
	target := "revision " + strconv.FormatInt(revision, 10)
	if d.s.looks.anew(d.takes()+" "+target, time.Now()) {
		// told by record
		_ = d.who.Record(ctx, audit.Entry{At: time.Now(), By: d.takes(), Action: "rules read", Target: target})
	}
}

// ReadRules is Rules for somebody who is shown the text.
func (d *Desk) ReadRules(ctx context.Context) (RulesView, error) {
	v, err := d.Rules(ctx)
	if err == nil && v.Text != "" {
		d.shows(ctx, v.Revision)
	}
	return v, err
}

// ExportRules is the rules file in force for whoever takes it away.
func (d *Desk) ExportRules(ctx context.Context) (RulesView, error) {
	if err := d.who.Wide(access.ReadRules); err != nil {
		return RulesView{}, err
	}
	v, err := d.s.rules()
	if err == nil {
		err = d.gives(ctx, "rules export", "revision "+strconv.FormatInt(v.Revision, 10), "")
	}
	return v, err
}

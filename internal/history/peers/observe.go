package peers

import (
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
)

// Observation is what one attempt saw of one address that answered EHLO.
type Observation struct {
	Key
	At time.Time
	// Offered says that STARTTLS was offered. Keywords are those worth keeping.
	Offered  bool
	Keywords []string
	// TLS is what a finished handshake reached, nil when there was none; Reason is why not.
	TLS         *mail.TLS
	Certificate *Certificate
	Level       policy.Level
	Reason      policy.Reason
	// Plain says that mail went there in plaintext.
	Plain bool
	// Forced says that the attempt was for mail that demands authenticated TLS.
	Forced bool
}

// Observe adds an observation to a record; the zero Record is of an address never seen. It changes nothing it was
// given.
//
// Laws: the first observation changes nothing, because there was nothing before; observing the same thing again changes
// nothing; TLSLost and TLSReturned alternate.
func Observe(r Record, o Observation) (Record, []Change) {
	o.At = o.At.UTC().Round(0)
	known := !r.FirstSeen.IsZero()
	if !known {
		r.Host, r.IP, r.Port, r.FirstSeen = o.Host, o.Addr.Addr(), o.Addr.Port(), o.At
	}
	v := &view{r: r, o: &o}
	v.hello(known)
	if o.TLS != nil {
		v.worked()
	} else {
		v.missed()
	}
	if o.Forced {
		v.r.UnderRule = later(v.r.UnderRule, o.At)
	}
	v.r.Changes = Kept(v.r.Changes, v.changes...)
	return v.r, v.changes
}

// Kept adds changes to a record's list, in memory of its own, and keeps the newest.
func Kept(old []Change, more ...Change) []Change {
	if len(more) == 0 {
		return old
	}
	out := slices.Concat(old, more)
	return slices.Clone(out[max(0, len(out)-maxChanges):])
}

// view is one call of Observe.
type view struct {
	r       Record
	o       *Observation
	changes []Change
}

func (v *view) changed(kind ChangeKind, before, after string) {
	if before != after {
		v.changes = append(v.changes, Change{v.o.At, kind, before, after})
	}
}

// hello takes what EHLO said.
func (v *view) hello(known bool) {
	r, o := &v.r, v.o
	r.LastSeen = later(r.LastSeen, o.At)
	r.StartTLS = o.Offered
	if o.Offered {
		r.LastOffered = later(r.LastOffered, o.At)
	}
	if known {
		v.changed(NewKeywords, strings.Join(r.Keywords, " "), strings.Join(o.Keywords, " "))
	}
	r.Keywords = slices.Clone(o.Keywords)
}

// worked takes a finished handshake.
func (v *view) worked() {
	r, o := &v.r, v.o
	if !r.LostAt.IsZero() {
		v.changed(TLSReturned, "lost since "+stamp(r.LostAt), o.TLS.Version)
		r.LostAt, r.LostReason = time.Time{}, ""
	}
	if r.TLS > 0 {
		v.changed(NewVersion, r.Version, o.TLS.Version)
		v.changed(NewGroup, r.Group, o.TLS.Group)
	}
	v.certificate()
	if r.TLS == 0 {
		r.FirstTLS = o.At
	}
	if r.TLS == 0 || day(o.At) > day(r.LastTLS) {
		r.TLSDays++
	}
	if r.Streak == 0 {
		r.StreakSince = o.At
	}
	r.TLS++
	r.Streak++
	r.LastTLS = later(r.LastTLS, o.At)
	r.Version, r.Cipher, r.Group, r.Level = o.TLS.Version, o.TLS.Cipher, o.TLS.Group, o.Level
}

func (v *view) certificate() {
	r, o := &v.r, v.o
	if o.Certificate == nil || r.Certificate != nil && r.Certificate.SHA256 == o.Certificate.SHA256 {
		return
	}
	next := *o.Certificate
	next.Since = o.At
	if old := r.Certificate; old != nil {
		kind := NewCert
		if old.SPKI != next.SPKI {
			kind = NewKey
		}
		v.changed(kind, old.line(), next.line())
	}
	r.Certificate, r.Warned = &next, 0
}

// line is a certificate in one line of a change.
func (c *Certificate) line() string {
	return c.Subject + ", by " + c.Issuer + ", until " + c.NotAfter.UTC().Format(time.DateOnly) + ", sha256 " + c.SHA256
}

// missed takes an answer without TLS.
func (v *view) missed() {
	r, o := &v.r, v.o
	if v.demandedMore() {
		return
	}
	if r.TLS > 0 && r.LostAt.IsZero() && o.At.Sub(r.LastTLS) <= Remembered {
		r.LostAt, r.LostReason = o.At, o.Reason
		v.changed(TLSLost, r.Version+" until "+stamp(r.LastTLS), string(o.Reason))
	}
	if o.Plain { // it was given up: from here on consistency is counted anew
		r.Streak, r.StreakSince = 0, time.Time{}
	}
}

// demandedMore reports whether a handshake failed because forced mail demands more than others get there: a server with
// only TLS 1.0 has lost nothing.
func (v *view) demandedMore() bool {
	old := v.r.Version == "TLSv1" || v.r.Version == "TLSv1.1"
	return v.o.Forced && v.o.Offered && (old || v.o.Reason == policy.TLSVersion ||
		v.o.Reason == policy.TLSNoSharedCipher)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// day numbers the days of UTC.
func day(t time.Time) int64 { return t.Unix() / (24 * 3600) }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

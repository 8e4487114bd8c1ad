package received

import (
	"strings"
	"time"
)

// State is what is known about the encryption of a hop, in the words of the JSON output.
type State string

// The states of a hop.
const (
	Yes     State = "yes"     // a line by a trusted host says that there was TLS
	Claimed State = "claimed" // a line that anybody may have written says so
	No      State = "no"      // the line says that there was none
	Unknown State = "unknown" // the line does not say
)

// Hop is one step of the message's way.
type Hop struct {
	Line
	Field   Field
	Number  int // 1 is the oldest
	State   State
	Trusted bool // the line was written by a host one trusts

	// Delay is how long after the line before it this line was written: what the server before needed to pass the
	// message on. HasDelay is false where a date is missing. It is negative where two clocks disagree.
	Delay    time.Duration
	HasDelay bool
}

// Report is the way of one message.
type Report struct {
	Hops []Hop // the oldest first

	// Proven is the number of the oldest hop in the unbroken stretch of trusted lines that ends with the newest; 0
	// without hops. Why says what ended the stretch, "" where all lines are trusted.
	Proven int
	Why    string
}

// Trace reads lines, the newest first as in a message, and judges them. The newest is always taken as the reader's own:
// it was written by the server that handed the message over.
func Trace(fields []Field, trust Trust) Report {
	n := len(fields)
	r := Report{Hops: make([]Hop, n)}
	for i, f := range fields {
		r.Hops[n-1-i] = Hop{Line: Parse(f.Value), Field: f, Number: n - i}
	}
	r.believe(trust)
	r.measure()
	r.compare()
	for i := range r.Hops {
		r.Hops[i].judge()
	}
	return r
}

// believe follows the lines from the newest down.
func (r *Report) believe(trust Trust) {
	own := map[string]bool{}
	for i := len(r.Hops) - 1; i >= 0; i-- {
		h := &r.Hops[i]
		h.Trusted = true
		r.Proven = h.Number
		if i == 0 {
			return
		}
		if h.By != "" {
			own[strings.ToLower(h.By)] = true
		}
		if ok, why := trust.extends(&h.Line, &r.Hops[i-1].Line, own); !ok {
			r.Why = why
			r.Hops[i-1].note("not proven: " + why)
			return
		}
	}
}

// measure computes the time each hop took. A line without a date is passed over.
func (r *Report) measure() {
	var before time.Time
	for i := range r.Hops {
		h := &r.Hops[i]
		if h.Date.IsZero() {
			continue
		}
		if !before.IsZero() {
			h.Delay, h.HasDelay = h.Date.Sub(before), true
		}
		if h.HasDelay && h.Delay < 0 {
			h.note("dated before the hop before it: one of two clocks is wrong, or a line is forged")
		}
		before = h.Date
	}
}

// compare notes where a line was brought by another name than the line before it is signed with.
func (r *Report) compare() {
	for i := 1; i < len(r.Hops); i++ {
		h, before := &r.Hops[i], &r.Hops[i-1]
		if h.Inside || h.Helo == "" || before.By == "" || isIP(before.By) || strings.EqualFold(before.By, "localhost") {
			continue
		}
		if !sameHost(h.Helo, before.By) && !sameHost(h.Name, before.By) && (!h.IP.IsValid() || h.IP != before.ByIP) {
			h.note("the line before is signed by " + before.By +
				": the same host under two names, or a step that wrote no line")
		}
	}
}

// judge turns what the line says into what is known.
func (h *Hop) judge() {
	switch {
	case h.TLS == Encrypted && h.Trusted && !h.Doubtful:
		h.State = Yes
	case h.TLS == Encrypted:
		h.State = Claimed
	case h.TLS == Plain:
		h.State = No
	default:
		h.State = Unknown
	}
	switch {
	case h.SameHost:
		h.note("passed on inside one host, over no network")
	case h.Inside:
		h.note("passed on inside the writer's own system; how, the line does not say")
	case h.IP.IsPrivate() || h.IP.IsLinkLocalUnicast():
		h.note("the peer's address is private: a hop inside somebody's network")
	}
	if h.Field.Repaired {
		h.note("the line was put together from pieces that had lost their indent")
	}
}

// Sum counts the hops over a network by state. Inside is the number of the others.
type Sum struct {
	Yes, Claimed, No, Unknown, Inside int
}

// Sum counts all hops.
func (r *Report) Sum() Sum {
	var s Sum
	for i := range r.Hops {
		switch h := &r.Hops[i]; {
		case h.Inside:
			s.Inside++
		case h.State == Yes:
			s.Yes++
		case h.State == Claimed:
			s.Claimed++
		case h.State == No:
			s.No++
		default:
			s.Unknown++
		}
	}
	return s
}

// Network is the number of hops over a network.
func (s Sum) Network() int { return s.Yes + s.Claimed + s.No + s.Unknown }

// Short returns the hops because of which the message cannot be said to have come encrypted: those over a network whose
// line is trusted and does not say TLS. Lines that anybody may have written prove nothing in either direction and do
// not count. ok is false if there are such hops, and if no trusted line records a hop over a network at all.
func (r *Report) Short() (hops []int, ok bool) {
	recorded := 0
	for i := range r.Hops {
		h := &r.Hops[i]
		if !h.Trusted || h.Inside {
			continue
		}
		recorded++
		if h.State != Yes {
			hops = append(hops, h.Number)
		}
	}
	return hops, recorded > 0 && len(hops) == 0
}

package resolver

import (
	"errors"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// Servers in the field have oddities, and one of them must not stop all mail. Each has a way around, and none of the
// ways makes a broken answer a "no": what cannot be understood stays unknown.
//
//	the question with OPT gets FORMERR, NOTIMP or BADVERS,    once more without OPT, over the same network (RFC 6891 §7)
//	or SERVFAIL in an answer without OPT
//	the question with OPT gets no answer                      without OPT in the next round
//	the reply has other capitals than the question, no        over TCP, where nobody can forge it blindly
//	question, or cannot be read
//	... and TCP is refused or silent                          capitals only: two more questions over UDP, each with a port and
//	                                                          number of its own. All must agree; see agreed
//	the reply is cut short, and TCP is refused or silent      over UDP with room for 4096 octets
//	questions of one type are dropped (AAAA), others not      twice: for deafFor such questions get one short try
//	records, but none of what was asked                       no answer; it is not the same as none
//	REFUSED, or nothing usable                                remembered: other servers are asked first for a while
//	OPT was in the way twice in a row                         remembered: no OPT for plainFor
//
// A reply from another address is not heard at all: the socket is connected.
const (
	deafFor  = 10 * time.Minute
	plainFor = time.Hour
	// wideSize is the room offered where TCP cannot be used.
	wideSize = 4096
)

var (
	errCapitals = errors.New("the server answers in other capitals than it was asked, and not over TCP: an answer " +
		"cannot be told from a forged one")
	errStray     = errors.New("the server answers with records of something else than it was asked")
	errTruncated = errors.New("the answer is cut short, and the server does not answer over TCP")
)

// odd is what is remembered of one server's oddities; the server's lock guards it.
type odd struct {
	noOPT      int // answers in a row that OPT was in the way of
	plainUntil time.Time
	deaf       map[uint16]deafness // by the type of question
	heard      time.Time           // the last answer
}

// deafness is how often in a row questions of a type were dropped while others were answered, and until when that
// counts.
type deafness struct {
	times int
	until time.Time
}

// edns reports whether the server is asked with OPT.
func (s *server) edns(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !now.Before(s.odd.plainUntil)
}

// optInTheWay notes whether the server answered only without OPT.
func (s *server) optInTheWay(yes bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !yes {
		s.odd.noOPT = 0
		return
	}
	if s.odd.noOPT++; s.odd.noOPT >= 2 {
		s.odd.plainUntil = now.Add(plainFor)
	}
}

// deafTo notes a question that was silent from began on, and reports whether the server answered others meanwhile.
func (s *server) deafTo(qtype uint16, began, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.odd.heard.Before(began) {
		return false
	}
	if s.odd.deaf == nil {
		s.odd.deaf = map[uint16]deafness{}
	}
	s.odd.deaf[qtype] = deafness{s.odd.deaf[qtype].times + 1, now.Add(deafFor)}
	return true
}

// isDeaf reports whether the server drops questions of a type.
func (s *server) isDeaf(qtype uint16, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.odd.deaf[qtype]
	return d.times >= 2 && now.Before(d.until) // one lost packet is no habit
}

// hears notes an answer.
func (s *server) hears(qtype uint16, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.odd.deaf, qtype)
	s.odd.heard = now
}

// needsPlain reports whether a reply to a question with OPT may be due to the OPT.
func needsPlain(m *wire.Msg) bool {
	switch m.Rcode {
	case wire.RcodeFormatError, wire.RcodeNotImplemented, wire.RcodeBadVers:
		return true
	case wire.RcodeServerFailure:
		return m.IsEdns0() == nil
	}
	return false
}

// agreed reports whether replies say the same, and the same of its signatures: an answer of a server that is trusted
// does not lose its word because the server writes names in other letters, which would take away whatever is published
// with it. To forge one an attacker who sees no question must guess a port and a number; to forge three that agree,
// three of each, which is more than the capitals of one name hide.
func agreed(replies ...*wire.Msg) bool {
	for _, m := range replies[1:] {
		if m.Rcode != replies[0].Rcode || m.AuthenticatedData != replies[0].AuthenticatedData ||
			!slices.Equal(saying(m), saying(replies[0])) {
			return false
		}
	}
	return true
}

// saying lists the records of the answer without their times.
func saying(m *wire.Msg) (out []string) {
	for _, rr := range m.Answer {
		rr = wire.Copy(rr)
		rr.Header().Ttl = 0
		rr.Header().Name = strings.ToLower(rr.Header().Name)
		out = append(out, strings.ToLower(rr.String()))
	}
	slices.Sort(out)
	return out
}

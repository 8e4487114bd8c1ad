package smtpclient

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"postern/internal/smtp"
)

const (
	// blockSize is how much is written at once, and the largest message that goes into the same write as its envelope.
	blockSize = 64 << 10
	// A group of pipelined commands is read back before its replies could fill the peer's window (RFC 2920 §3.1).
	groupOctets, groupReplies = 16 << 10, 100
	// After a 421, or when the peer stopped reading, what it still has to say is given this long.
	lastWords = 10 * time.Second
)

// Send performs one transaction. The Result is never nil and says what became of each recipient, also when an Error
// comes with it: an Error means that the connection ended (unless Healthy says otherwise) and that recipients still
// Undecided were not answered for. Error.Sent tells whether the peer may have the message nevertheless.
func (c *Conn) Send(ctx context.Context, t *Transaction) (*Result, error) {
	s := &sending{c: c, ctx: ctx, t: t, used: c.begun > 0,
		res: &Result{Recipients: make([]RecipientResult, len(t.Recipients))}}
	defer c.watch(ctx)()
	err := s.send()
	s.res.Elsewhere = s.worn(err) || s.muddled(err)
	return s.res, err
}

// send says the transaction, and again more plainly where the peer did not understand what it could do without.
func (s *sending) send() error {
	c := s.c
	if err := c.ready(s.ctx, PhaseMail); err != nil {
		return err
	}
	for {
		if err := s.afresh(); err != nil || !s.undecided() {
			return err
		}
		if c.open {
			if err := c.reset(s.ctx); err != nil {
				return err
			}
		}
		c.begun++
		err := s.run()
		if c.closing != nil {
			s.decideRest(*c.closing)
			return nil
		}
		if err != nil || !s.plainer() {
			if err == nil && !s.mailOK {
				s.res.Plainer = 0 // it was not for what was left out
			}
			return err
		}
	}
}

// sending is one transaction under way.
type sending struct {
	c    *Conn
	ctx  context.Context
	t    *Transaction
	res  *Result
	size int64

	utf8    bool // SMTPUTF8 is said
	convert bool // 8-bit parts are re-encoded on the way, by plan
	plan    []bool

	used         bool // the connection had a transaction before
	mailAnswered bool
	mailOK       bool
	answered     int        // recipients answered at all
	accepted     int        // recipients answered 2xx
	begun        bool       // DATA or BDAT is, or may be, on its way
	goAhead      bool       // DATA was answered 354
	sent         bool       // the end of the content is, or may be, on its way
	content      smtp.Reply // the reply that decided the content, zero until then
}

// awaited is a command whose reply has not been read. rcpt is the recipient's index, or for content 1 for the last
// piece and 0 for others.
type awaited struct {
	phase Phase
	rcpt  int
}

// run sends the envelope and the content. The commands go out in groups if the peer pipelines, else one by one.
func (s *sending) run() error {
	c := s.c
	s.begun = false
	c.out, c.wait = c.out[:0], c.wait[:0]
	c.out = s.appendMail(c.out)
	if err := s.put(awaited{PhaseMail, 0}); err != nil || s.refused() {
		return err
	}
	for i := range s.t.Recipients {
		if s.res.Recipients[i].Outcome != Undecided {
			continue
		}
		c.out = s.appendRcpt(c.out, &s.t.Recipients[i])
		if err := s.put(awaited{PhaseRcpt, i}); err != nil || s.refused() {
			return err
		}
	}
	if c.ext.Chunking && !s.convert {
		return s.sendChunks()
	}
	return s.sendData()
}

// refused reports whether, with all replies read, there is no sense in going on.
func (s *sending) refused() bool {
	return s.c.dead || len(s.c.wait) == 0 && !s.mailOK
}

// settleEnvelope reads what replies are still awaited and reports whether anybody is there to send the content to.
func (s *sending) settleEnvelope() (bool, error) {
	err := s.exchange()
	return err == nil && s.accepted > 0 && !s.c.dead, err
}

// put takes note that a command in out awaits its reply. Without pipelining, or when the group is full, the replies are
// read now.
func (s *sending) put(a awaited) error {
	s.c.wait = append(s.c.wait, a)
	if s.c.ext.Pipelining && len(s.c.out) < groupOctets && len(s.c.wait) < groupReplies {
		return nil
	}
	return s.exchange()
}

// exchange writes what is in out and reads all replies awaited. If writing fails the peer may have said why before it
// closed, so its replies are read all the same.
func (s *sending) exchange() error {
	c := s.c
	phase := PhaseContent
	if len(c.wait) > 0 {
		phase = c.wait[len(c.wait)-1].phase
	}
	return s.readBack(c.flush(s.ctx, phase, c.cfg.Timeouts.Block))
}

// readBack reads all replies awaited; writeErr is what became of writing the commands.
func (s *sending) readBack(writeErr error) error {
	c := s.c
	for i := range c.wait {
		limit := s.patience(c.wait[i].phase)
		if writeErr != nil || c.closing != nil {
			limit = min(limit, lastWords)
		}
		if err := s.read(c.wait[i], limit); err != nil {
			if writeErr != nil {
				err = writeErr
			}
			return s.mark(err)
		}
	}
	c.wait = c.wait[:0]
	return s.mark(writeErr)
}

// patience is how long a reply may take (RFC 5321 §4.5.3.2).
func (s *sending) patience(phase Phase) time.Duration {
	t := &s.c.cfg.Timeouts
	switch phase {
	case PhaseRcpt:
		return t.Rcpt
	case PhaseData:
		return t.Data
	case PhaseContent:
		return t.Final
	}
	return t.Mail
}

// mark notes in an error whether the peer may have the message.
func (s *sending) mark(err error) error {
	if e, ok := err.(*Error); ok {
		e.Sent = s.sent && s.content.Code == 0 && s.undecided()
		return e
	}
	return err
}

// read reads one reply and draws the consequences.
func (s *sending) read(a awaited, limit time.Duration) error {
	reply, err := s.c.readReply(s.ctx, a.phase, limit, a.phase == PhaseContent)
	if err != nil {
		return err
	}
	if reply.Code/100 == 3 && (a.phase != PhaseData || reply.Code != 354) || a.phase == PhaseData && reply.Positive() {
		return s.c.malformed(a.phase, []byte(strconv.Itoa(reply.Code)), errUnexpected)
	}
	switch a.phase {
	case PhaseMail:
		s.mailReply(reply)
	case PhaseRcpt:
		s.rcptReply(a.rcpt, reply)
	case PhaseData:
		s.goAhead = reply.Code == 354
		if !s.goAhead {
			s.decideAccepted("DATA", reply)
		}
	case PhaseContent:
		s.chunkReply(a.rcpt == 1, reply)
	}
	return nil
}

var errUnexpected = fmt.Errorf("%w: the code makes no sense as an answer to the command", smtp.ErrReply)

func (s *sending) mailReply(reply smtp.Reply) {
	s.mailAnswered = true
	if reply.Positive() {
		s.mailOK, s.c.open = true, true
		return
	}
	for i := range s.res.Recipients {
		if r := &s.res.Recipients[i]; r.Outcome == Undecided {
			*r = RecipientResult{Outcome: outcomeOf(reply.Code), Reply: reply, Command: "MAIL"}
		}
	}
}

// rcptReply decides one recipient, if it is refused. Too many recipients is 452, or 552 from old peers
// (RFC 5321 §4.5.3.1.10): those go again in another transaction if this one has others to deliver to.
func (s *sending) rcptReply(i int, reply smtp.Reply) {
	r := &s.res.Recipients[i]
	s.answered++
	switch {
	case !s.mailOK: // already decided; the peer only says that it has no sender
		return
	case reply.Positive():
		s.accepted++
		r.Command = "RCPT"
		return
	}
	*r = RecipientResult{Outcome: outcomeOf(reply.Code), Reply: reply, Command: "RCPT"}
	limit := reply.Code == 452 || reply.Code == 552
	if limit && (reply.Status == "" || reply.Status[1:] == ".5.3") {
		r.Outcome = Deferred
		if s.accepted > 0 {
			r.Outcome = Again
		}
	}
}

// decideAccepted gives the reply to DATA or to the content to every recipient that was accepted.
func (s *sending) decideAccepted(command string, reply smtp.Reply) {
	s.content = reply
	for i := range s.res.Recipients {
		if r := &s.res.Recipients[i]; r.Outcome == Undecided && r.Command == "RCPT" {
			*r = RecipientResult{Outcome: outcomeOf(reply.Code), Reply: reply, Command: command}
		}
	}
}

// decideRest defers every recipient left because the peer said 421.
func (s *sending) decideRest(reply smtp.Reply) {
	for i := range s.res.Recipients {
		r := &s.res.Recipients[i]
		if r.Outcome != Undecided {
			continue
		}
		command := r.Command
		if command == "" {
			command = "MAIL"
		}
		*r = RecipientResult{Outcome: Deferred, Reply: reply, Command: command}
	}
}

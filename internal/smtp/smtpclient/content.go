package smtpclient

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"postern/internal/smtp"
)

// chunksInFlight is how many BDAT chunks may be without a reply when the peer pipelines.
const chunksInFlight = 8

// sendData sends the content after DATA, dots stuffed. DATA waits for the replies to the envelope, also where RFC 2920
// §3.1 would let it go out with them: servers count a DATA for nobody as an error of ours, and some end the session for
// it, which puts off the mail behind. It costs one round trip of a message, not of a recipient.
func (s *sending) sendData() error {
	c := s.c
	if ok, err := s.settleEnvelope(); !ok {
		return err
	}
	if err := s.still(); err != nil {
		return err
	}
	s.begun = true
	c.out = append(c.out, "DATA\r\n"...)
	c.wait = append(c.wait, awaited{PhaseData, 0})
	if err := s.exchange(); err != nil || !s.goAhead || c.dead {
		return err
	}
	if err := s.stuff(s.reader()); err != nil {
		return err
	}
	if err := s.still(); err != nil {
		return err
	}
	s.ending()
	c.open = false
	if err := s.flush(); err != nil {
		return err
	}
	return s.final(".")
}

// still asks whether the content may be begun, or go on. Within it the connection ends, so that the peer forgets what
// it has.
func (s *sending) still() error {
	if s.t.Still == nil || s.t.Still(s.begun) {
		return nil
	}
	if s.begun {
		s.c.dead = true
		_ = s.c.tcp.Close()
	}
	return &Error{Phase: PhaseContent, Kind: Overtaken}
}

// reader is the content as it is to cross the wire.
func (s *sending) reader() io.Reader {
	if s.convert {
		return newSevenBit(io.LimitReader(s.t.Body, s.size), s.plan)
	}
	return io.LimitReader(s.t.Body, s.size)
}

// stuff sends the content and leaves its end, final dot included, in out. Content that cannot be read or sent as it is
// kills the connection before the final dot, so that the peer forgets what it has.
func (s *sending) stuff(content io.Reader) error {
	c := s.c
	if c.body == nil {
		c.body = make([]byte, blockSize/2)
	}
	var enc smtp.DotEncoder
	var total int64
	for {
		n, err := io.ReadFull(content, c.body)
		total += int64(n)
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !ended {
			return s.abandon(err)
		}
		if c.out, err = enc.Append(c.out, c.body[:n]); err != nil {
			return s.abandon(err)
		}
		if ended {
			break
		}
		if len(c.out) >= blockSize/2 {
			if err := s.flushContent(); err != nil {
				return err
			}
		}
	}
	if !s.convert && total != s.size {
		return s.abandon(errSize)
	}
	var err error
	if c.out, err = enc.Finish(c.out); err != nil {
		return s.abandon(err)
	}
	return nil
}

// abandon kills the connection in the middle of the content. Content that DATA can never carry fails its recipients.
func (s *sending) abandon(err error) error {
	if errors.Is(err, smtp.ErrBareLineEnd) {
		s.decideAccepted("DATA", smtp.Reply{Code: 554, Status: "5.6.0",
			Lines: []string{"the content has a CR or LF outside a CRLF, and the next hop does not offer CHUNKING"}})
		for i := range s.res.Recipients {
			r := &s.res.Recipients[i]
			r.Local = r.Local || r.Command == "DATA"
		}
	}
	s.c.dead = true
	_ = s.c.tcp.Close()
	return &Error{Phase: PhaseContent, Kind: BadContent, Err: err}
}

// flushContent writes out, if the content may go on.
func (s *sending) flushContent() error {
	if err := s.still(); err != nil {
		return err
	}
	return s.flush()
}

// flush writes out. A peer that stopped reading often said why before: its refusal decides, if there is one.
func (s *sending) flush() error {
	err := s.c.flush(s.ctx, PhaseContent, s.c.cfg.Timeouts.Block)
	if err == nil {
		return nil
	}
	reply, readErr := s.c.readReply(s.ctx, PhaseContent, lastWords, true)
	if readErr == nil && (reply.Temporary() || reply.Permanent()) {
		s.decideAccepted(".", reply)
		s.res.Final = &s.content
	}
	return s.mark(err)
}

// ending notes that the end of the content is about to be written.
func (s *sending) ending() {
	if s.t.Ending != nil {
		s.t.Ending()
	}
	s.sent = s.ctx.Err() == nil // else nothing more is written
}

// final reads the reply to the final dot.
func (s *sending) final(command string) error {
	reply, err := s.c.readReply(s.ctx, PhaseContent, s.c.cfg.Timeouts.Final, true)
	if err != nil {
		return s.mark(err)
	}
	if reply.Code/100 == 3 {
		return s.mark(s.c.malformed(PhaseContent, []byte(strconv.Itoa(reply.Code)), errUnexpected))
	}
	s.decideAccepted(command, reply)
	if s.accepted > 0 {
		s.res.Final = &s.content
	}
	return nil
}

// sendChunks sends the content by BDAT (RFC 3030 §2), as it is. A small one goes out together with the envelope if the
// peer pipelines: then the whole transaction is one write and one round trip. After every recipient of a message was
// refused on the connection the content waits for the replies to the envelope: a BDAT for nobody may count as an error
// of ours.
func (s *sending) sendChunks() error {
	c := s.c
	if !c.ext.Pipelining || s.size > blockSize || c.picky {
		if ok, err := s.settleEnvelope(); !ok {
			return err
		}
	}
	for rest := s.size; ; {
		if err := s.still(); err != nil {
			return err
		}
		n := min(rest, blockSize)
		rest -= n
		s.begun = true
		if err := s.appendChunk(n, rest == 0); err != nil {
			return err
		}
		if rest == 0 {
			s.ending()
			err := s.exchange()
			c.picky = c.picky || s.accepted == 0
			return err
		}
		if err := s.chunkTurn(); err != nil || s.content.Code != 0 {
			return err
		}
	}
}

// appendChunk appends one BDAT command and its n octets to out.
func (s *sending) appendChunk(n int64, last bool) error {
	c := s.c
	c.out = strconv.AppendInt(append(c.out, "BDAT "...), n, 10)
	piece := awaited{phase: PhaseContent}
	if last {
		c.out = append(c.out, " LAST"...)
		piece.rcpt = 1
	}
	c.out = append(c.out, '\r', '\n')
	at := len(c.out)
	c.out = append(c.out, make([]byte, n)...)
	if _, err := io.ReadFull(s.t.Body, c.out[at:]); err != nil {
		return s.abandon(fmt.Errorf("%w: %w", errSize, err))
	}
	c.wait = append(c.wait, piece)
	return nil
}

// chunkTurn writes a chunk that is not the last and reads what replies are due.
func (s *sending) chunkTurn() error {
	c := s.c
	if !c.ext.Pipelining {
		return s.exchange()
	}
	if err := c.flush(s.ctx, PhaseContent, c.cfg.Timeouts.Block); err != nil {
		return s.readBack(err)
	}
	if len(c.wait) < chunksInFlight {
		return nil
	}
	if err := s.read(c.wait[0], s.patience(PhaseContent)); err != nil {
		return s.mark(err)
	}
	c.wait = append(c.wait[:0], c.wait[1:]...)
	if s.content.Code != 0 { // refused: what follows was written for nothing, read its replies
		return s.exchange()
	}
	return nil
}

// chunkReply draws the consequences of a reply to BDAT. The first refusal decides; after it the peer's state is unknown
// until RSET (RFC 3030 §2).
func (s *sending) chunkReply(last bool, reply smtp.Reply) {
	if s.content.Code != 0 || !last && reply.Positive() {
		return
	}
	s.decideAccepted("BDAT", reply)
	if s.accepted > 0 {
		s.res.Final = &s.content
	}
	if last && reply.Positive() {
		s.c.open = false
	}
}

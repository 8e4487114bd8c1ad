package smtpclient

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"postern/internal/smtp"
)

var (
	errSize = errors.New("the content is not as long as its size says")
	errSeek = errors.New("the content cannot be rewound")
)

// measure sets the size of the content and goes to its start.
func (s *sending) measure() error {
	size, err := s.t.Body.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = s.t.Body.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errSeek, err)
	}
	if s.t.Size > 0 && s.t.Size != size {
		return fmt.Errorf("%w: %d octets, not %d", errSize, size, s.t.Size)
	}
	s.size = size
	return nil
}

// judge refuses what this peer can never take, before a word is sent, and chooses the parameters. It returns an error
// only when the content cannot be read.
func (s *sending) judge() error {
	ext, env := &s.c.ext, &s.t.Envelope
	s.res.DSN = ext.DSN
	s.utf8 = ext.UTF8 && env.UTF8
	switch {
	case env.RequireTLS && !ext.RequireTLS: // never said without it (RFC 8689 §4.2.1)
		s.refuseAll(550, "5.7.30", "the sender asked for REQUIRETLS, and the next hop does not offer it inside TLS")
	case ext.MaxSize > 0 && s.size > ext.MaxSize:
		s.refuseAll(552, "5.3.4", fmt.Sprintf("the message has %d octets, and the next hop takes at most %d",
			s.size, ext.MaxSize))
	case !isSendable(env.From):
		s.refuseAll(553, "5.1.7", "the sender address cannot be written in a command")
	case !ext.UTF8 && !env.From.IsASCII():
		s.refuseAll(553, "5.6.7", "the sender address is internationalised, and the next hop does not offer SMTPUTF8")
	}
	s.judgeAddresses()
	if !ext.UTF8 && env.UTF8 && s.t.HeaderUTF8 {
		s.refuseAll(554, "5.6.9", "the header is internationalised, and the next hop does not offer SMTPUTF8")
	}
	s.utf8 = s.utf8 || ext.UTF8 && !env.From.IsASCII()
	s.judgeRoom()
	if s.t.EightBit && !ext.EightBit && s.undecided() {
		return s.judgeConversion()
	}
	return nil
}

// judgeConversion finds out whether 8-bit content can be re-encoded for a peer without 8BITMIME (RFC 6152 §3).
func (s *sending) judgeConversion() error {
	if s.c.cfg.KeepSigned {
		signed, err := s.signed()
		if err != nil {
			return err
		}
		if signed {
			s.refuseAll(554, "5.6.3", "the content is signed and has 8-bit octets, the next hop does not offer "+
				"8BITMIME, and re-encoding would break the signature")
			return nil
		}
	}
	plan, err := surveySevenBit(io.LimitReader(s.t.Body, s.size))
	if errors.Is(err, errNotConvertible) {
		s.refuseAll(554, "5.6.3", "the content has 8-bit octets that cannot be re-encoded, "+
			"and the next hop does not offer 8BITMIME")
		return nil
	}
	if err == nil {
		_, err = s.t.Body.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errSeek, err)
	}
	s.convert, s.plan, s.res.Converted = true, plan, true
	return nil
}

// maxSigned is how much of the content is looked at for a signature's field; a header section that is longer counts as
// signed.
const maxSigned = 1 << 20

// signed reports whether the header section has a DKIM or ARC signature over the content (RFC 6376 §3.5). It leaves the
// content at its start.
func (s *sending) signed() (bool, error) {
	if _, err := s.t.Body.Seek(0, io.SeekStart); err != nil {
		return false, fmt.Errorf("%w: %w", errSeek, err)
	}
	head, err := io.ReadAll(io.LimitReader(s.t.Body, min(s.size, maxSigned)))
	if err == nil {
		_, err = s.t.Body.Seek(0, io.SeekStart)
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", errSeek, err)
	}
	section, _, ended := bytes.Cut(head, []byte("\r\n\r\n"))
	if !ended && len(head) == maxSigned {
		return true, nil
	}
	for line := range bytes.Lines(section) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch strings.ToLower(string(bytes.TrimRight(name, " \t"))) {
		case "dkim-signature", "arc-message-signature":
			return true, nil
		}
	}
	return false, nil
}

// judgeAddresses refuses recipients by their own addresses. It comes before the header, in which a recipient's address
// may be all that is internationalised: the one of our Received line.
func (s *sending) judgeAddresses() {
	for i := range s.t.Recipients {
		r, a := &s.res.Recipients[i], s.t.Recipients[i].Address
		switch {
		case r.Outcome != Undecided:
		case !isSendable(a) || a.IsNull():
			refuse(r, "RCPT", 553, "5.1.3", "the recipient address cannot be written in a command")
		case !a.IsASCII() && !s.c.ext.UTF8:
			refuse(r, "RCPT", 553, "5.6.7",
				"the recipient address is internationalised, and the next hop does not offer SMTPUTF8")
		}
	}
}

// judgeRoom takes as many recipients as the peer does in one transaction, and leaves the others for another one.
func (s *sending) judgeRoom() {
	room := s.c.ext.MaxRecipients
	for i := range s.t.Recipients {
		r, a := &s.res.Recipients[i], s.t.Recipients[i].Address
		switch {
		case r.Outcome != Undecided:
		case s.c.ext.MaxRecipients > 0 && room == 0:
			refuse(r, "RCPT", 452, "4.5.3", "the next hop takes no more recipients in one transaction")
			r.Outcome = Again
		default:
			room--
			s.utf8 = s.utf8 || !a.IsASCII()
		}
	}
}

// undecided reports whether any recipient is left.
func (s *sending) undecided() bool {
	for i := range s.res.Recipients {
		if s.res.Recipients[i].Outcome == Undecided {
			return true
		}
	}
	return false
}

// refuseAll decides every recipient left with words of ours.
func (s *sending) refuseAll(code int, status, text string) {
	for i := range s.res.Recipients {
		if r := &s.res.Recipients[i]; r.Outcome == Undecided {
			refuse(r, "MAIL", code, status, text)
		}
	}
}

func refuse(r *RecipientResult, command string, code int, status, text string) {
	*r = RecipientResult{Outcome: outcomeOf(code), Local: true, Command: command,
		Reply: smtp.Reply{Code: code, Status: status, Lines: []string{text}}}
}

// outcomeOf is what a reply to the content, or a refusal before it, means for a recipient.
func outcomeOf(code int) Outcome {
	switch code / 100 {
	case 2:
		return Delivered
	case 4:
		return Deferred
	case 5:
		return Failed
	}
	return Undecided
}

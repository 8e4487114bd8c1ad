package smtpclient

import (
	"errors"
	"io"
	"strings"

	"postern/internal/mail"
	"postern/internal/smtp"
)

// Feature is an extension that we use where it is offered and can do without; a set of them is their sum. STARTTLS is
// none: nothing here makes a connection less protected.
type Feature uint8

// The features, by their EHLO keywords.
const (
	Pipelining Feature = 1 << iota
	Chunking
	EightBitMIME
	SMTPUTF8
	DSN
	Size
)

var featureNames = [...]string{"pipelining", "chunking", "8bitmime", "smtputf8", "dsn", "size"}

// ParseFeature returns the feature with a keyword, in any case; false for another.
func ParseFeature(keyword string) (Feature, bool) {
	for i, name := range featureNames {
		if strings.EqualFold(name, keyword) {
			return 1 << i, true
		}
	}
	return 0, false
}

// String lists the keywords of a set.
func (f Feature) String() string {
	var out []string
	for i, name := range featureNames {
		if f&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}

// without is ext as if the features were not offered.
func (ext Extensions) without(f Feature) Extensions {
	for i, field := range [...]*bool{&ext.Pipelining, &ext.Chunking, &ext.EightBit, &ext.UTF8, &ext.DSN} {
		if f&(1<<i) != 0 {
			*field = false
		}
	}
	if f&Size != 0 {
		ext.Size, ext.MaxSize = false, 0
	}
	return ext
}

// What a peer refuses of things we chose to say is no refusal of the mail. The same transaction is said again, at once
// and on the same connection, without them:
//
//	MAIL refused as a command or for its parameters    without SIZE, RET and ENVID, and without BODY and SMTPUTF8 where
//	                                                   the message can do without
//	every RCPT refused so                              without NOTIFY and ORCPT
//	every RCPT refused as out of sequence              one command at a time
//	BDAT unknown to the peer                           with DATA
//
// Where some recipients were accepted they get the message, and the others are Again, in another transaction. What was
// given up is told in Result.Plainer and holds for the rest of the connection. A parameter that protects the message
// (REQUIRETLS) is none of these.

// plainer draws the consequence of what was refused: it gives up features and returns true where the transaction is to
// be said again on this connection. It gives up each feature once, so it ends.
func (s *sending) plainer() bool {
	if s.c.dead {
		return false
	}
	drop := s.suspects()
	if drop == 0 {
		return false
	}
	s.giveUp(drop)
	again := drop&Chunking != 0 || s.accepted == 0
	for i := range s.res.Recipients {
		switch r := &s.res.Recipients[i]; {
		case r.Local || r.Outcome == Delivered || r.Command == "RCPT" && r.Reply.Code != 503 &&
			!notUnderstood(&r.Reply):
		case again:
			*r = RecipientResult{}
		case r.Command == "RCPT" && r.Outcome == Failed:
			r.Outcome = Again
		}
	}
	return again
}

// giveUp does without features for the rest of the connection.
func (s *sending) giveUp(f Feature) {
	s.c.cfg.Without |= f
	s.c.ext = s.c.ext.without(f)
	s.res.Plainer |= f
}

// afresh prepares s to be said again: what is decided stays so.
func (s *sending) afresh() error {
	s.mailOK, s.accepted, s.goAhead, s.sent, s.content, s.res.Final = false, 0, false, false, smtp.Reply{}, nil
	s.convert, s.plan, s.res.Converted = false, nil, false
	s.mailAnswered, s.answered = false, 0
	if err := s.measure(); err != nil {
		return &Error{Phase: PhaseMail, Kind: BadContent, Err: err}
	}
	if err := s.judge(); err != nil {
		return &Error{Phase: PhaseMail, Kind: BadContent, Err: err}
	}
	return nil
}

// suspects are the features that a refusal may be about, of those that were said.
func (s *sending) suspects() Feature {
	said := s.said()
	if !s.mailOK {
		if r := s.decidedBy("MAIL"); r != nil && notUnderstood(r) {
			return said &^ (Pipelining | Chunking)
		}
		return 0
	}
	if s.content.Code == 500 || s.content.Code == 502 || s.content.Code == 504 {
		return said & Chunking
	}
	if r := s.decidedBy("RCPT"); r != nil && s.accepted == 0 && r.Code == 503 {
		return said & Pipelining
	}
	for i := range s.res.Recipients {
		r := &s.res.Recipients[i]
		if r.Command == "RCPT" && !r.Local && r.Outcome == Failed && notUnderstood(&r.Reply) &&
			asksFor(&s.t.Recipients[i]) {
			return said & DSN
		}
	}
	return 0
}

// said are the features that this transaction used and can do without.
func (s *sending) said() (f Feature) {
	ext, env := &s.c.ext, &s.t.Envelope
	if ext.Pipelining {
		f |= Pipelining
	}
	if ext.Chunking && !s.convert {
		f |= Chunking
	}
	if ext.Size {
		f |= Size
	}
	asks := env.Ret != mail.ReturnUnsaid || env.EnvID != ""
	for i := range s.t.Recipients {
		asks = asks || asksFor(&s.t.Recipients[i])
	}
	if ext.DSN && asks {
		f |= DSN
	}
	if ext.EightBit && !s.convert && (env.Body == mail.Body8BitMIME || s.t.EightBit) &&
		(!s.t.EightBit || s.convertible()) {
		f |= EightBitMIME
	}
	if s.utf8 && !s.needsUTF8() {
		f |= SMTPUTF8
	}
	return f
}

// needsUTF8 reports whether the message cannot be said without SMTPUTF8.
func (s *sending) needsUTF8() bool {
	need := s.t.HeaderUTF8 || !s.t.Envelope.From.IsASCII()
	for i := range s.t.Recipients {
		need = need || !s.t.Recipients[i].Address.IsASCII()
	}
	return need
}

// convertible reports whether 8-bit content could be re-encoded. It leaves the content at its start.
func (s *sending) convertible() bool {
	if signed, err := s.signed(); err != nil || signed && s.c.cfg.KeepSigned {
		return false
	}
	_, err := surveySevenBit(io.LimitReader(s.t.Body, s.size))
	if _, seekErr := s.t.Body.Seek(0, io.SeekStart); seekErr != nil {
		return false
	}
	return !errors.Is(err, errNotConvertible) && err == nil
}

// decidedBy is the peer's reply to a command that decided every recipient it was asked about; nil where there is none.
func (s *sending) decidedBy(command string) (reply *smtp.Reply) {
	for i := range s.res.Recipients {
		r := &s.res.Recipients[i]
		switch {
		case r.Local:
		case r.Command != command || r.Outcome == Undecided || reply != nil && reply.Code != r.Reply.Code:
			return nil
		default:
			reply = &r.Reply
		}
	}
	return reply
}

// asksFor reports whether a recipient has wishes about reports.
func asksFor(r *mail.Recipient) bool { return r.Notify != 0 || r.ORCPT != "" }

// notUnderstood reports whether a reply says that a command or its parameters were not understood (RFC 5321 §4.2.4,
// §4.1.1.11, RFC 3463 §3.6), and not that the mail is unwanted.
func notUnderstood(r *smtp.Reply) bool {
	switch r.Code {
	case 500, 501, 502, 504, 555:
		return r.Status == "" || r.Status[1:] == ".0.0" || strings.HasPrefix(r.Status[1:], ".5.")
	}
	return r.Code >= 500 && (strings.HasSuffix(r.Status, ".5.4") || strings.HasSuffix(r.Status, ".5.2"))
}

package smtpclient

// A connection that took a message before may be at its end: the peer closed it while it was idle, counts messages, or
// is going down. That says nothing about the next message (RFC 5321 §3.8), which may be said at once on another
// connection. This file is the one place where that is decided, for every way in which it can come to light:
//
//	before MAIL        a 421 or a close while idle; RSET unanswered or refused
//	instead of a reply to MAIL or to a RCPT: a close, a reset, silence, a reply that is none
//	as a reply         421 to MAIL, RCPT or DATA; 4xx or 503 to MAIL; 503 to RCPT
//	instead of 354     a close or a reset
//
// It holds only while nothing was judged: no recipient was refused for himself, and none accepted but by a peer that
// then takes no content. And it holds only where the peer cannot have the message: where its end went out together with
// the envelope, a close before any reply still counts, for the peer then had stopped reading, while silence does not.

// worn reports whether s fell to the connection and not to the message. err is what Send returns.
func (s *sending) worn(err error) bool {
	if !s.used || s.accepted > 0 && !s.wantsNothing(err) {
		return false
	}
	left := false
	for i := range s.res.Recipients {
		switch r := &s.res.Recipients[i]; {
		case r.Local:
		case r.Outcome == Undecided && err != nil, r.Outcome != Undecided && ofConnection(r.Command, r.Reply.Code):
			left = true
		default:
			return false
		}
	}
	return left && (err == nil || s.lost(err))
}

// wantsNothing reports whether the peer accepted recipients and then ended the session in answer to DATA.
func (s *sending) wantsNothing(err error) bool {
	if !s.begun || s.goAhead || s.sent {
		return false
	}
	e, ok := err.(*Error)
	return ok && e.Phase == PhaseData && e.Kind == Closed || err == nil && s.content.Code == 421
}

// lost reports whether err means that the connection broke and that the peer cannot have the message.
func (s *sending) lost(err error) bool {
	e, ok := err.(*Error)
	if !ok {
		return false
	}
	switch e.Kind {
	case Closed, Refused: // refused is RSET
		return !e.Sent || !s.mailAnswered
	case Timeout, Malformed:
		return !e.Sent
	}
	return false
}

// ofConnection reports whether a refusal may be about the connection and not about what it answers.
func ofConnection(command string, code int) bool {
	switch command {
	case "MAIL":
		return code/100 == 4 || code == 503
	case "RCPT":
		return code == 421 || code == 503
	case "DATA":
		return code == 421
	}
	return false
}

// muddled reports whether a peer that was told several commands at once answered MAIL and then nothing more: it may
// have lost the others (some relays in between do), and is told one at a time on another connection.
func (s *sending) muddled(err error) bool {
	e, ok := err.(*Error)
	if !ok || !s.c.ext.Pipelining || !s.mailOK || s.answered > 0 || e.Sent || e.Kind != Timeout && e.Kind != Closed ||
		s.ctx.Err() != nil {
		return false
	}
	s.giveUp(Pipelining)
	return true
}

package intake

import (
	"context"
	"time"

	"postern/internal/gateway/clientname"
	"postern/internal/mail"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
)

// session is one client. The engine calls it from one goroutine.
type session struct {
	in   *Intake // in force at the last MAIL or AUTH
	conn *smtpserver.Conn
	name *clientname.LookUp // of the client; nil where there is none
	// proof is what the user who logged in was known by then.
	proof string

	// Of the open transaction.
	began      time.Time
	rights     rights
	envelope   mail.Envelope
	recipients []mail.Recipient
	known      map[string]bool // canonical addresses in recipients
	arrival    arrival
}

// Auth checks a password, few at a time, and few wrong ones from one network.
func (s *session) Auth(ctx context.Context, user, password string) *smtp.Reply {
	s.in = s.in.now()
	in := s.in
	who := claim{smtpserver.ClientNetwork(s.conn.Info().Client.Addr()), user}
	in.cfg.Logins.adjust(in.cfg.LoginFailures, in.cfg.LoginWindow)
	end, no := in.cfg.Logins.begin(ctx, who)
	if no != nil {
		return no
	}
	right := in.cfg.Authenticate != nil && in.cfg.Authenticate(user, password)
	s.proof = in.proof(user)
	end(right)
	if !right {
		return smtp.NewReply(535, "5.7.8", "the name or the password is wrong")
	}
	return nil
}

// Mail opens a transaction. What the client may do in it is found out now, by what is in force now: who logged in as
// somebody who is no user any more, or with a password that was changed, has to log in again. A stranger may call
// itself anybody, and is refused only at RCPT, when it is known where mail is to go.
func (s *session) Mail(ctx context.Context, e mail.Envelope, _ int64) *smtp.Reply {
	s.in = s.in.now()
	if !s.in.cfg.Others.Live() {
		return notNow()
	}
	info := s.conn.Info()
	if !s.stillUser(s.in, &info) {
		s.conn.LogOut()
		return smtp.NewReply(530, "5.7.0", "your login is not valid any more, log in again")
	}
	may := s.in.rightsOf(&info)
	if may.relay && s.in.cfg.RelayTLS && info.TLS == nil {
		return smtp.NewReply(530, "5.7.0", "Must issue a STARTTLS command first")
	}
	if no := may.mayUse(e.From); no != nil {
		return no
	}
	s.began, s.rights, s.envelope = time.Now(), may, e
	if may.relay {
		return nil
	}
	return s.admit(ctx, s.in.cfg.InForce(), nil)
}

// stillUser reports whether whoever logged in could do so now with the same password; who did not log in is not asked.
func (s *session) stillUser(in *Intake, info *smtpserver.ConnInfo) bool {
	return info.User == "" || s.proof == in.proof(info.User) && (in.cfg.Proof == nil || s.proof != "")
}

// proof is what a user is known by.
func (i *Intake) proof(user string) string {
	if i.cfg.Proof == nil {
		return ""
	}
	return i.cfg.Proof(user)
}

// stillRelays asks whether a client that might relay at MAIL may do so now.
func (s *session) stillRelays() bool {
	if !s.rights.relay {
		return false
	}
	in, info := s.in.now(), s.conn.Info()
	return s.stillUser(in, &info) && in.mayRelay(&info)
}

// Rcpt adds a recipient. One that was named before in another spelling gets the message once.
func (s *session) Rcpt(ctx context.Context, r mail.Recipient) *smtp.Reply {
	to, no := s.allow(r.Address)
	if no != nil {
		return no
	}
	r.Address = to
	if !s.stillRelays() {
		if no := s.admit(ctx, s.in.now().cfg.InForce(), []mail.Address{to}); no != nil {
			return no
		}
	}
	key := to.Canonical()
	if s.known[key] {
		return nil
	}
	if !s.in.now().takesReports(to) {
		if no := s.exists(ctx, to); no != nil {
			return no
		}
	}
	if s.known == nil {
		s.known = map[string]bool{}
	}
	s.known[key] = true
	s.recipients = append(s.recipients, r)
	return nil
}

// to are the addresses of the recipients.
func (s *session) to() []mail.Address {
	out := make([]mail.Address, len(s.recipients))
	for i, r := range s.recipients {
		out[i] = r.Address
	}
	return out
}

// exists refuses a recipient in a domain of ours that does not exist, whoever sends: a stranger's report would go to a
// sender who may be forged, and one of our own side hears it at once.
func (s *session) exists(ctx context.Context, to mail.Address) *smtp.Reply {
	in := s.in.now()
	if in.cfg.Recipients == nil || !in.cfg.InForce().Serves(to.Domain) {
		return nil
	}
	return in.cfg.Recipients(ctx, to, s.conn.Flush)
}

// Reset forgets the transaction.
func (s *session) Reset() {
	s.began, s.rights, s.envelope, s.recipients, s.known = time.Time{}, rights{}, mail.Envelope{}, nil, nil
	s.arrival = arrival{last: s.arrival.last}
}

// Close does nothing: a transaction that is open is forgotten with the session.
func (s *session) Close() {}

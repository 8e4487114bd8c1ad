package dsn

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/attempt"
	"postern/internal/policy"
)

// humanBudget is where the first part stops telling details, so that a notice about many recipients stays below
// MaxSize.
const humanBudget = 300 << 10

// dateForm is how people and the header fields are told times: RFC 5322 §3.3 with a numeric zone.
const dateForm = "Mon, 02 Jan 2006 15:04:05 -0700"

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(dateForm)
}

// human writes the first part.
func (r *Report) human() string {
	var p page
	p.para("", "This is the mail gateway at "+r.ReportingMTA.String()+". It writes about your message:")
	p.blank()
	p.field("  ", "Subject", safe(r.Subject))
	p.field("  ", "Message-ID", safe(r.OriginalMessageID))
	p.field("  ", "Accepted", date(r.ArrivedAt))
	p.field("  ", "Gateway's number", safeName(r.About))
	for _, action := range []Action{Failed, Delayed, Relayed, Delivered} {
		if n := r.count(action); n > 0 {
			p.blank()
			p.para("", opening(action, n))
			r.humanRecipients(&p, action)
		}
	}
	p.blank()
	if r.OriginalFull {
		p.para("", "Your message is attached.")
	} else {
		p.para("", "The header of your message is attached, its text is not.")
	}
	return p.b.String()
}

func (r *Report) count(a Action) (n int) {
	for i := range r.Recipients {
		if r.Recipients[i].Action == a {
			n++
		}
	}
	return n
}

func opening(a Action, n int) string {
	who := "this recipient"
	if n > 1 {
		who = fmt.Sprintf("these %d recipients", n)
	}
	switch a {
	case Failed:
		return "It could NOT be delivered to " + who + ", and the gateway has given up:"
	case Delayed:
		return "It has not been delivered yet to " + who + ". The gateway keeps trying; you need not send it again:"
	case Relayed:
		return "It was handed over for " + who + " to a mail server that sends no further notices:"
	}
	return "It was delivered to the next mail server for " + who + ":"
}

func (r *Report) humanRecipients(p *page, action Action) {
	for i := range r.Recipients {
		rcpt := &r.Recipients[i]
		if rcpt.Action != action {
			continue
		}
		p.blank()
		p.line("<" + safeName(rcpt.Address.String()) + ">")
		if p.b.Len() > humanBudget {
			p.field("  ", "Reason", string(rcpt.Reason))
			continue
		}
		if action == Delivered || action == Relayed {
			rcpt.success(p)
		} else {
			rcpt.trouble(p, r.ReportingMTA.String())
		}
	}
}

// success says what the channel was like, for whoever asked for NOTIFY=SUCCESS.
func (rcpt *Recipient) success(p *page) {
	p.field("  ", "Protection", protection(rcpt.Reached, rcpt.Attempt))
	p.field("  ", "Rule", list(rcpt.Rules))
	p.field("  ", "Another way", safe(rcpt.Way))
	if rcpt.Attempt != nil && rcpt.Attempt.Used() != nil {
		p.field("  ", "To", where(rcpt.Attempt.Used()))
		p.field("  ", "Proven by", provenBy[rcpt.Attempt.Used().ProvedBy])
		certificate(p, rcpt.Attempt.Used())
	}
	p.field("  ", "Not better because", belowReason(rcpt))
	reply(p, rcpt.Attempt)
}

// provenBy says in words what proved a server.
var provenBy = map[string]string{
	policy.ByCertificate: "a certificate of a trusted CA for its name",
	policy.ByPin:         "a certificate of a trusted CA for its name, with a pinned key",
	policy.ByDANEEE:      "a TLSA record of its domain (DANE-EE)",
	policy.ByDANETA:      "a TLSA record of its domain (DANE-TA)",
}

// protection is one sentence about the channel that carried a message to the next server.
func protection(level policy.Level, a *attempt.Attempt) string {
	said := map[policy.Level]string{
		policy.Plaintext:     "plaintext: the connection to the next server was NOT encrypted",
		policy.Encrypted:     "encrypted: TLS, but the next server did not prove who it is",
		policy.Authenticated: "authenticated: TLS, and the next server proved who it is",
	}[level]
	if a == nil {
		return said
	}
	tls := a.Used().TLS()
	if tls == nil {
		return said
	}
	said += fmt.Sprintf("; %s with cipher %s (%d bits)", safeName(tls.Version), safeName(tls.Cipher), tls.Bits)
	if tls.Group != "" {
		said += ", key exchange " + safeName(tls.Group)
	}
	return said
}

func belowReason(rcpt *Recipient) string {
	if rcpt.Reason == "" || rcpt.Reached == policy.Authenticated {
		return ""
	}
	return fmt.Sprintf("%s (%s)", sentence(rcpt), rcpt.Reason)
}

// sentence is what fell short in our words.
func sentence(rcpt *Recipient) string {
	if rcpt.Text != "" {
		return safe(rcpt.Text)
	}
	return rcpt.info().Text
}

// trouble tells why a recipient has not got the message: the act, the actor, the technical lines.
func (rcpt *Recipient) trouble(p *page, gateway string) {
	info := rcpt.info()
	p.field("  ", "What happened", whatHappened(rcpt))
	who, hint := actor(info.Who, gateway), rcpt.hint()
	if rcpt.own() && info.Who == policy.Us {
		who = "you, or " + who
	}
	if rcpt.ByRule != "" {
		who = "you, or " + actor(policy.Us, gateway)
		hint = "The rule \"" + safe(rcpt.ByRule) + "\" of your organisation decided this. " +
			"Ask the administrator where you think it should not."
	}
	p.field("  ", "Another way", safe(rcpt.Way))
	p.field("  ", "Who must act", who)
	p.field("  ", "What to do", hint)
	if rcpt.Action == Delayed && rcpt.Requires > policy.Plaintext && rcpt.Reason.Class().AboutProtection() {
		p.blank()
		p.para("  ", "It is waiting because TLS is required: "+rcpt.demand()+" says that it may travel only over a "+
			"connection whose protection is "+rcpt.Requires.String()+". It will not be sent with less.")
	}
	if by := rcpt.publishedBy(); by != "" && rcpt.Action != Delivered && rcpt.Action != Relayed {
		p.blank()
		p.para("  ", "The recipient's domain asks in public ("+by+") that mail to it be sent only over a "+
			"connection that proves its server, so the gateway does not send it with less.")
	}
	if rcpt.Action == Delayed && !rcpt.WillRetryUntil.IsZero() {
		p.blank()
		p.para("  ", rcpt.outlook())
	}
	if rcpt.Because != "" {
		p.blank()
		p.para("  ", "No rule of your organisation names this recipient. TLS is required because "+
			safe(rcpt.Because)+". You can send the message again to this recipient alone; "+
			"your administrator can leave such recipients out by that box.")
	}
	p.blank()
	p.line("  Technical details")
	rcpt.technical(p)
}

// outlook says how long a delayed message is tried, and what becomes of it then.
func (rcpt *Recipient) outlook() string {
	out := "The gateway tries until " + date(rcpt.WillRetryUntil) + ". If it cannot deliver by then, "
	if len(rcpt.Next) == 0 {
		return out + "you get another notice."
	}
	out += "the rule \"" + safe(rcpt.Next[0].By) + "\" of your organisation has it go another way, " +
		"with the same protection: "
	for i, way := range rcpt.Next {
		if i > 0 {
			out += ", then "
		}
		out += "to the route " + safe(way.Route) + ", where it is tried until " + date(way.Until) + " at most"
	}
	return out + ". If it cannot be delivered that way either, you get another notice."
}

// abandoned is when the last attempt is made (RFC 3464 §2.3.9).
func (rcpt *Recipient) abandoned() time.Time {
	if n := len(rcpt.Next); n > 0 {
		return rcpt.Next[n-1].Until
	}
	return rcpt.WillRetryUntil
}

// asker says who demands protection of the recipient's mail, besides what is published.
func (rcpt *Recipient) asker() string {
	if rcpt.Asker == "" && len(rcpt.Rules) > 0 {
		return policy.ByRule
	}
	return rcpt.Asker
}

// demand is asker for people.
func (rcpt *Recipient) demand() string {
	switch rcpt.asker() {
	case policy.FromRequireTLS:
		return "REQUIRETLS, with which it was sent,"
	case policy.ByOwn:
		return "the configuration of the gateway"
	}
	return "a rule of your organisation"
}

// hint is what whoever must act can do, nothing where there is no reason.
func (rcpt *Recipient) hint() string {
	if rcpt.Reason == "" {
		return ""
	}
	kind := ""
	if p := rcpt.Attempt.KeptBy(); p != nil {
		kind = p.Kind
	}
	return rcpt.info().HintFor(kind, rcpt.asker())
}

// publishedBy names what the recipient's domain or its host publishes that kept the mail from going; "" where nothing
// did.
func (rcpt *Recipient) publishedBy() string {
	p := rcpt.Attempt.KeptBy()
	if p == nil {
		return ""
	}
	return map[string]string{policy.PublishedDANE: "DANE, TLSA records in signed DNS",
		policy.PublishedSTS: "an MTA-STS policy"}[p.Kind]
}

// info is what people are told about the reason, nothing where there is none.
func (rcpt *Recipient) info() policy.Info {
	switch {
	case rcpt.Reason == "":
		return policy.Info{}
	case rcpt.own():
		return rcpt.Attempt.Info()
	}
	return rcpt.Reason.Info()
}

// own reports whether this gateway decided by itself, without a word of the next server.
func (rcpt *Recipient) own() bool { return rcpt.Attempt.Own() && rcpt.Attempt.Reason == rcpt.Reason }

func whatHappened(rcpt *Recipient) string {
	info := rcpt.info()
	if rcpt.Text == "" || rcpt.Text == info.Text {
		return info.Text
	}
	said := upperFirst(safe(rcpt.Text))
	if !strings.HasSuffix(said, ".") {
		said += "."
	}
	if rcpt.own() { // it says who decided
		return said
	}
	return strings.TrimSpace(info.Text + " " + said)
}

func upperFirst(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

func actor(who policy.Who, gateway string) string {
	switch who {
	case policy.Us:
		return "the administrator of this gateway (postmaster@" + gateway + ")"
	case policy.Them:
		return "the administrator of the recipient's mail server"
	case policy.Network:
		return "whoever runs the network or the DNS between the two mail servers"
	}
	return ""
}

func (rcpt *Recipient) technical(p *page) {
	p.field("    ", "Reason", strings.TrimSpace(string(rcpt.Reason)+" "+rcpt.status()))
	p.field("    ", "Rule", list(rcpt.Rules))
	if rcpt.Requires > policy.Plaintext {
		p.field("    ", "Required", rcpt.Requires.String())
	}
	if rcpt.Tried > 0 {
		p.field("    ", "Tried", strconv.Itoa(rcpt.Tried)+" times")
	}
	p.field("    ", "Last tried", date(rcpt.LastAttempt))
	if rcpt.Attempt == nil {
		return
	}
	if t := rcpt.Attempt.Telling(); t != nil {
		certificate(p, t)
		p.field("    ", "TLS alert", safeName(t.Alert))
	}
	reply(p, rcpt.Attempt)
	tries(p, rcpt.Attempt.Tries)
}

// certificate writes what was expected of the peer and what it presented.
func certificate(p *page, t *attempt.Try) {
	if t.Evidence == nil {
		return
	}
	if tls := t.Evidence.TLS; tls != nil {
		p.field("    ", "TLS", strings.TrimSpace(fmt.Sprintf("%s %s %s", safeName(tls.Version), safeName(tls.Cipher),
			safeName(tls.Group))))
	}
	p.field("    ", "Expected names", list(t.Evidence.Expected))
	p.field("    ", "Presented names", list(t.Evidence.Presented))
	if len(t.Evidence.Chain) == 0 {
		return
	}
	leaf := t.Evidence.Chain[0]
	p.field("    ", "Certificate of", safeName(leaf.Subject))
	p.field("    ", "Issued by", safeName(leaf.Issuer))
	p.field("    ", "Valid from", date(leaf.NotBefore))
	p.field("    ", "Valid until", date(leaf.NotAfter))
	p.field("    ", "SHA-256", safeName(leaf.SHA256))
	for _, s := range slices.Compact(slices.Clone(t.Shortfalls)) {
		p.field("    ", "Falls short", string(s.Reason)+": "+safe(s.Text))
	}
}

// reply shows the peer's answer about the recipient, as its own words.
func reply(p *page, a *attempt.Attempt) {
	if a == nil || a.Reply == nil {
		return
	}
	asked := ""
	if a.Reply.Command != "" {
		asked = " to " + safeName(a.Reply.Command)
	}
	p.line("    " + safeName(a.Reply.Host) + " answered" + asked + " (its own words):")
	p.theirs("      ", replyLine(a.Reply))
}

// replyLine is a reply as one line: code, status, text.
func replyLine(r *attempt.Reply) string {
	return strings.Join(strings.Fields(fmt.Sprintf("%d %s %s", r.Code, safeName(r.Status), safe(r.Text))), " ")
}

// tries lists the hosts dialled in the newest attempt.
func tries(p *page, all []attempt.Try) {
	if len(all) == 0 {
		return
	}
	p.line("    Connections of the last attempt (after > the other server's own words):")
	for i := range all {
		if i == maxTries {
			p.line(fmt.Sprintf("      ... and %d more", len(all)-i))
			return
		}
		t := &all[i]
		said := strings.Join(slices.DeleteFunc([]string{string(t.Reason), safe(t.Text)},
			func(s string) bool { return s == "" }), ": ")
		switch {
		case t.Judged:
			said = strings.TrimPrefix(said+"; nothing was sent over it", "; ")
		case said == "":
			said = "worked"
		}
		p.wrap("      - ", "        ", where(t)+" "+string(t.Rung)+": "+said)
		if t.Remote != "" {
			p.theirs("        ", safe(t.Remote))
		}
	}
}

// where names the far end of a try: host, address, port.
func where(t *attempt.Try) string {
	s := safeName(t.Host)
	if t.IP.IsValid() {
		s += " [" + t.IP.String() + "]"
	}
	if t.Port != 0 {
		s += ":" + strconv.Itoa(int(t.Port))
	}
	return strings.TrimSpace(s)
}

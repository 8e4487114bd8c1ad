// Package trace shows what became of deliveries, as people and programs read it: the objects of the trace, made of
// stored records. It says what a record says, and asks nobody; who may see what is the business of admin.
//
// Ground room.
package trace

import (
	"strconv"
	"strings"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rule"
	"postern/internal/queue"
)

// Delivery is one delivery as people and programs see it (design.md §7). The names are stable; fields are only ever
// added. Times are UTC, null when there is none. Texts a stranger chose are bounded and escaped when they are stored.
type Delivery struct {
	Delivery  int64  `json:"delivery"`
	Message   string `json:"message"`
	MessageID string `json:"message_id"`
	Kind      string `json:"kind"`            // mail, dsn, delay, alert, tls-report
	About     string `json:"about,omitempty"` // the message a notice speaks of
	From      string `json:"from"`            // "" is the null sender
	To        string `json:"to"`
	State     string `json:"state"`
	Size      int64  `json:"size"`

	// Rule names the rules that set the requirement, separated by commas; Matched says they name this recipient.
	Rule    string   `json:"rule"`
	Rules   []string `json:"rules,omitempty"`
	Matched bool     `json:"matched,omitempty"`
	// Because are recipients of the message whom these rules name, where this one is protected only because of them, as
	// far as that can be told; at most rules.MaxBecause.
	Because []string `json:"because,omitempty"`
	// WithoutTLS is "reject" where such a one is returned at once if its server offers no TLS at all, "" otherwise.
	WithoutTLS string   `json:"without_tls,omitempty"`
	Would      []string `json:"would,omitempty"` // rules in test mode that would have set more
	// Effects are what rules did with the mail when it was accepted, or would have.
	Effects policy.Effects `json:"effects,omitempty"`

	Requires string `json:"requires"`
	Reached  string `json:"reached"` // of the connection that carried it, "" when none did
	// Reason is why it waits, failed, or did not reach a higher rung.
	Reason string `json:"reason"`
	Text   string `json:"text"` // what fell short, in our words
	Hint   string `json:"hint,omitempty"`
	Who    string `json:"who,omitempty"` // has to act: us, them, network
	Status string `json:"status"`        // enhanced code
	Reply  string `json:"reply,omitempty"`
	Held   string `json:"held,omitempty"` // why it is held
	// Quarantine is the rule that holds it, null where none does.
	Quarantine *Quarantine `json:"quarantine,omitempty"`
	Alert      string      `json:"alert,omitempty"`
	// Wish is what an administrator asked last while it was being sent.
	Wish *Wish `json:"wish,omitempty"`

	MX             string     `json:"mx"`
	IP             string     `json:"ip"`
	TLSVersion     string     `json:"tls_version"`
	Cipher         string     `json:"cipher"`
	Bits           int        `json:"bits"`
	Group          string     `json:"group"`
	CertSubject    string     `json:"cert_subject"`
	CertIssuer     string     `json:"cert_issuer"`
	CertNotBefore  *time.Time `json:"cert_not_before"`
	CertNotAfter   *time.Time `json:"cert_not_after"`
	CertSHA256     string     `json:"cert_sha256"`
	ExpectedNames  []string   `json:"expected_names,omitempty"`
	PresentedNames []string   `json:"presented_names,omitempty"`
	// ProvedBy is what proved the peer of an authenticated connection: certificate, pin, dane-ee or dane-ta; "" else.
	ProvedBy string `json:"proved_by"`
	// Policy is what decided of what the recipient's domain or its mail host publishes for senders, "dane" or "sts",
	// and "requiretls" where the sender asked for that; "" where nothing was found. Whether it is kept to says the mode
	// in its detail, and what fell short of it: nothing where a rule alone decided. What applies besides stands there.
	Policy       string   `json:"policy"`
	PolicyDetail *Policy  `json:"policy_detail"`
	Notes        []string `json:"notes,omitempty"`

	NextHop      string            `json:"next_hop"`
	AttemptCount int               `json:"attempt_count"`
	Attempts     []attempt.Attempt `json:"attempts"`
	// SiteAttempt is the newest failed try for the site where it waits, when that is newer than its own.
	SiteAttempt *attempt.Attempt `json:"site_attempt,omitempty"`
	SiteFailing int              `json:"site_failures,omitempty"`

	AcceptedAt    *time.Time `json:"accepted_at"`
	ExpiresAt     *time.Time `json:"expires_at"`
	NextAttemptAt *time.Time `json:"next_attempt_at"`
	FinishedAt    *time.Time `json:"finished_at"`
	InboundTLS    *mail.TLS  `json:"inbound_tls"`
	Inbound       Inbound    `json:"inbound"`
	// HandedIn warns of mail that a rule forces onward and that one of our own clients handed in without TLS.
	HandedIn string `json:"handed_in,omitempty"`
}

// handedIn says that a rule protects mail only from the gateway on.
func handedIn(r *queue.Record) string {
	in := &r.Message.Inbound
	if !in.Relayed || in.TLS != nil || len(r.Rules) == 0 || r.Requirement.Channel < policy.Encrypted {
		return ""
	}
	return "forced onward, handed in without TLS by " + in.Client.String()
}

// Wish is an action on a delivery that was being sent when it was asked for.
type Wish struct {
	Action string     `json:"action"` // hold, release, cancel
	By     string     `json:"by"`
	At     *time.Time `json:"at"`
	State  string     `json:"state"` // pending, done, too late
}

// String is the wish as a person reads it.
func (w *Wish) String() string {
	if w == nil {
		return ""
	}
	end := map[string]string{"pending": "when its try ends", "done": "done when its try ended",
		"too late": "too late"}[w.State]
	return w.Action + ", asked for by " + w.By + " while it was being sent: " + end
}

func wishOf(r *queue.Record) *Wish {
	if r.Wish == nil {
		return nil
	}
	w := &Wish{Action: string(r.Wish.Kind), By: r.Wish.By, At: Instant(r.Wish.At), State: "done"}
	switch {
	case r.TooLate():
		w.State = "too late"
	case r.State.Waiting():
		w.State = "pending"
	}
	return w
}

// Inbound is how mail came.
type Inbound struct {
	queue.Inbound
	// RequireTLS says that it came with REQUIRETLS (RFC 8689).
	RequireTLS bool `json:"requiretls,omitempty"`
}

// inboundOf is how mail came but for the channel, which stands beside it.
func inboundOf(m *queue.Message) Inbound {
	in := Inbound{Inbound: m.Inbound, RequireTLS: m.Kind == queue.Ordinary && m.Envelope.RequireTLS}
	in.TLS = nil
	return in
}

var kindNames = [...]string{queue.Ordinary: "mail", queue.DSN: "dsn", queue.Delay: "delay", queue.Alert: "alert",
	queue.Report: "tls-report"}

// Of makes the trace object of a record, with all that it holds.
func Of(r *queue.Record) Delivery {
	t := Delivery{
		Delivery: int64(r.ID), Message: string(r.Delivery.Message), MessageID: r.Message.MessageID,
		About: string(r.Message.About),
		From:  r.Message.Envelope.From.String(), To: r.Recipient.Address.String(), State: r.State.String(),
		Size: r.Message.Size,
		Rule: strings.Join(r.Rules, ","), Rules: r.Rules, Matched: r.Matched, Would: r.Tested, Effects: r.Effects,
		Requires: r.Requirement.Channel.String(), Reason: string(r.Why()), NextHop: r.NextHop,
		AttemptCount: r.Attempts, Attempts: r.History,
		AcceptedAt: Instant(r.AcceptedAt), ExpiresAt: Instant(r.ExpiresAt), NextAttemptAt: Instant(nextAttempt(r)),
		FinishedAt: Instant(r.FinishedAt),
		Inbound:    inboundOf(&r.Message), InboundTLS: r.Message.Inbound.TLS, HandedIn: handedIn(r),
		Held: heldWhy(r), Quarantine: quarantineOf(r), Wish: wishOf(r),
	}
	if int(r.Message.Kind) < len(kindNames) {
		t.Kind = kindNames[r.Message.Kind]
	}
	if t.Tainted() && r.Requirement.WithoutTLS == policy.WithoutTLSReject {
		t.WithoutTLS = "reject"
	}
	if t.Attempts == nil {
		t.Attempts = []attempt.Attempt{}
	}
	if r.State == queue.Delivered {
		t.Reached = r.Reached.String()
	}
	newest := newestAttempt(r)
	if r.State.Waiting() {
		t.SiteFailing = r.SiteState.Failures
		if newest != nil && newest == r.SiteState.Last {
			t.SiteAttempt, t.Reason = newest, string(newest.Reason)
		}
	}
	t.explain(r.State, newest, r.Asker())
	t.byRule(r)
	t.fill(newest)
	if r.Message.Envelope.RequireTLS {
		t.PolicyDetail = requireTLS(t.Reason).beside(t.PolicyDetail, decidedBy(newest))
		t.Policy = t.PolicyDetail.Kind
	}
	return t
}

// newestAttempt is the attempt that tells how the delivery stands: its own newest, or a newer one of the site it waits
// at.
func newestAttempt(r *queue.Record) *attempt.Attempt {
	var own *attempt.Attempt
	for i := range r.History {
		if own == nil || r.History[i].At.After(own.At) {
			own = &r.History[i]
		}
	}
	last := r.SiteState.Last
	if r.State.Waiting() && last != nil && (own == nil || last.At.After(own.At)) {
		return last
	}
	return own
}

// nextAttempt is when a waiting delivery is tried again: not before it is due, nor before its site's next probe.
func nextAttempt(r *queue.Record) time.Time {
	if r.State != queue.Queued && r.State != queue.Held || r.Due.IsZero() {
		return time.Time{}
	}
	if r.SiteState.Failures > 0 && r.SiteState.RetryAt.After(r.Due) {
		return r.SiteState.RetryAt
	}
	return r.Due
}

func heldWhy(r *queue.Record) string {
	switch {
	case r.State != queue.Held:
		return ""
	case r.Quarantine() != nil:
		return quarantineOf(r).String()
	case r.Rejected() != nil:
		return "the rule " + r.Rejected().Rule + " rejects it, and its sender is being told"
	case r.Message.Kind != queue.Ordinary && r.Message.Envelope.RequireTLS:
		return "a notice about mail whose sender asked for REQUIRETLS: it is not sent with less protection"
	case r.Message.Kind == queue.DSN || r.Message.Kind == queue.Delay:
		return "a notice about mail that a rule protects: it is not sent with less protection"
	}
	return "by an administrator"
}

// explain fills what the reason means. The class of the status follows the state.
func (t *Delivery) explain(state queue.State, newest *attempt.Attempt, asker string) {
	class := map[queue.State]string{queue.Delivered: "2", queue.Failed: "5", queue.Queued: "4", queue.Sending: "4",
		queue.Held: "4"}[state]
	var info policy.Info
	if newest != nil && string(newest.Reason) == t.Reason {
		info = newest.Info()
	} else if t.Reason != "" {
		info = policy.Reason(t.Reason).Info()
		t.Hint = info.HintFor("", asker)
	}
	t.Text, t.Who = info.Text, string(info.Who)
	if newest != nil && string(newest.Reason) == t.Reason {
		t.Hint = newest.Hint(asker)
	}
	detail := info.Status
	if newest != nil && newest.Text != "" && string(newest.Reason) == t.Reason {
		t.Text = newest.Text
	}
	if newest != nil && newest.Reply != nil && (t.Reason == string(policy.Remote4xx) ||
		t.Reason == string(policy.Remote5xx)) {
		if _, own, ok := strings.Cut(newest.Reply.Status, "."); ok {
			detail = own
		}
	}
	if newest != nil && newest.Status != "" {
		detail = newest.Status
	}
	switch {
	case state == queue.Delivered:
		t.Status = "2.0.0"
	case class != "" && detail != "":
		t.Status = class + "." + detail
	case class == "5":
		t.Status = "5.0.0"
	}
}

// fill takes host, channel and certificate from the try that tells most.
func (t *Delivery) fill(a *attempt.Attempt) {
	if a == nil {
		return
	}
	t.Notes = a.Notes
	if a.Reply != nil {
		t.Reply = ReplyLine(a.Reply)
	}
	try := a.Telling()
	if try == nil {
		return
	}
	t.MX, t.Alert, t.ProvedBy = try.Host, try.Alert, try.ProvedBy
	if t.PolicyDetail = policyOf(try); t.PolicyDetail != nil {
		t.Policy = t.PolicyDetail.Kind
	}
	if try.IP.IsValid() {
		t.IP = try.IP.String()
	}
	if tls := try.TLS(); tls != nil {
		t.TLSVersion, t.Cipher, t.Bits, t.Group = tls.Version, tls.Cipher, tls.Bits, tls.Group
	}
	if e := try.Evidence; e != nil {
		t.ExpectedNames, t.PresentedNames = e.Expected, e.Presented
		if len(e.Chain) > 0 {
			leaf := e.Chain[0]
			t.CertSubject, t.CertIssuer, t.CertSHA256 = leaf.Subject, leaf.Issuer, leaf.SHA256
			t.CertNotBefore, t.CertNotAfter = Instant(leaf.NotBefore), Instant(leaf.NotAfter)
		}
	}
}

// Demanded is the name of a level that is demanded, as people read it: see policy.Level.Demand. Any other text is
// returned as it is.
func Demanded(level string) string {
	l, err := policy.ParseLevel(level)
	if err != nil {
		return level
	}
	return l.Demand()
}

// Tainted reports whether a rule protects mail to a recipient whom it does not name; see queue.Delivery.Tainted.
func (t *Delivery) Tainted() bool {
	return t.Kind == kindNames[queue.Ordinary] && !t.Matched && len(t.Rules) > 0 &&
		t.Requires != policy.Plaintext.String()
}

// Why says why a recipient whom no rule names is protected, and what would leave it out; "" for others.
func (t *Delivery) Why() string {
	if !t.Tainted() {
		return ""
	}
	why := rule.Because(t.Rules, t.Because)
	if t.WithoutTLS != "" {
		why += "; if its server has no TLS at all, it is returned at once"
	}
	return why
}

// LooksLikeID reports whether s has the form of a queue id; what has not is a domain.
func LooksLikeID(s string) bool {
	return len(s) == 16 && strings.Trim(s, "0123456789abcdefghjkmnpqrstvwxyz") == ""
}

// ReplyLine is a peer's reply on one line: code, status, its words.
func ReplyLine(r *attempt.Reply) string {
	return strings.Join(strings.Fields(strconv.Itoa(r.Code)+" "+r.Status+" "+r.Text), " ")
}

// Instant is a time as JSON shows it: UTC, null when there is none.
func Instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	u := t.UTC()
	return &u
}

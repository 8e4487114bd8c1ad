// Package attempt is one try over one plan, kept as data: which hosts were dialled in which order, what each connection
// reached, what fell short, what the peers said. The log line, the metric, the DSN text, the trace and the console are
// renderings of it; nothing else reports.
//
// What the gateway decided by itself, by what a peer offers and without asking it, is told apart from what the peer
// decided (Own, Info), and no connection of it counts as used.
//
// Text that a peer chose (replies, certificate subjects) is hostile: it is kept apart from our own words, bounded, and
// every renderer escapes it.
//
// Ground room.
package attempt

import (
	"encoding/json"
	"net/netip"
	"slices"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
)

// Rung is one step of the ladder as it was tried.
type Rung string

// The rungs, highest first. Classical offers no post-quantum group, so that the ClientHello fits one segment; Legacy
// allows TLS 1.0 and RSA key exchange.
const (
	Modern    Rung = "tls"
	Classical Rung = "tls-classical"
	Legacy    Rung = "tls-legacy"
	Plain     Rung = "plaintext"
)

// Try is one connection: one address, one rung. Reason "" with Used set carried mail, or was to; "" without Used means
// that it worked but a better one was used.
type Try struct {
	At     time.Time  `json:"at"`
	TookMS int64      `json:"took_ms"`
	Host   string     `json:"host"`
	IP     netip.Addr `json:"ip,omitzero"`
	Port   uint16     `json:"port,omitempty"`
	Rung   Rung       `json:"rung,omitempty"`
	Used   bool       `json:"used,omitempty"`
	// Judged says that the gateway decided by what this connection offers, and sent nothing over it.
	Judged bool `json:"judged,omitempty"`
	// Reached is the level of the connection under the delivery's requirement.
	Reached  policy.Level     `json:"reached"`
	Evidence *policy.Evidence `json:"evidence,omitempty"` // nil where no handshake completed
	// ProvedBy is what proved the peer of an authenticated connection: policy.ByCertificate and its like.
	ProvedBy string `json:"proved_by,omitempty"`
	// Published is what the host and the recipient's domain publish for senders.
	Published []policy.Published `json:"published,omitempty"`
	// Shortfalls lists everything that fell short of the rung aimed at, the first decides Reason.
	Shortfalls []policy.Shortfall `json:"shortfalls,omitempty"`
	Reason     policy.Reason      `json:"reason,omitempty"`
	Text       string             `json:"text,omitempty"`   // our words
	Remote     string             `json:"remote,omitempty"` // the peer's words: escaped, bounded
	Alert      string             `json:"alert,omitempty"`  // TLS alert, by name, with the side that sent it
	// Local is the address of ours that was dialled from, for reports to the peer. It is not stored with the attempt.
	Local netip.Addr `json:"-"`
	// Offer is what EHLO offered before TLS, for what is remembered of peers; nil where it was not answered. It is not
	// stored with the attempt.
	Offer *Offer `json:"-"`

	// JSON is what the try marshals to, see Sealed; nil where nobody made it.
	JSON json.RawMessage `json:"-"`
}

// Sealed returns the try with its JSON made once: a connection stands in the attempts of all deliveries it carried.
// What is sealed must not change any more.
func (t Try) Sealed() Try {
	if text, err := json.Marshal(t); err == nil { // without it whoever stores the try makes it
		t.JSON = text
	}
	return t
}

// Offer is what a peer's EHLO offered outside TLS.
type Offer struct {
	StartTLS bool
	Keywords []string // the lines, escaped and bounded
}

// Attempt is one try over one plan. The same connection tries stand in the attempts of all deliveries they served.
type Attempt struct {
	At     time.Time `json:"at"`
	TookMS int64     `json:"took_ms"`
	Tries  []Try     `json:"tries,omitempty"`
	// Reason and Text say why the delivery did not succeed, or, for a delivered one, why it did not reach a higher
	// rung; "" means nothing fell short.
	Reason policy.Reason `json:"reason,omitempty"`
	Text   string        `json:"text,omitempty"`
	// Status is the enhanced code without its class ("6.3") of a refusal of our own, when the next hop cannot take the
	// message as it is and was never asked; "" elsewhere.
	Status string `json:"status,omitempty"`
	// Reply is the peer's answer about this recipient or message; nil if none came.
	Reply *Reply `json:"reply,omitempty"`
	// Notes are facts recorded without being failures: mx-unproven, revocation-not-checked, revocation-unknown and the
	// like.
	Notes []string `json:"notes,omitempty"`
}

// Follow puts the tries of an attempt in front that this one goes on from.
func (a *Attempt) Follow(before *Attempt) {
	a.At, a.TookMS = before.At, before.TookMS+a.TookMS
	a.Tries = append(slices.Clip(before.Tries), a.Tries...)
}

// Reply is a peer's SMTP reply. Text is the peer's words, escaped and bounded.
type Reply struct {
	Host    string `json:"host,omitempty"`
	Command string `json:"command,omitempty"` // "RCPT", "DATA", "." ...
	Code    int    `json:"code"`
	Status  string `json:"status,omitempty"` // enhanced code, "5.1.1"
	Text    string `json:"text,omitempty"`
}

// Used returns the connection over which the peer was asked to take the message, or nil.
func (a *Attempt) Used() *Try {
	for i := range a.Tries {
		if a.Tries[i].Used {
			return &a.Tries[i]
		}
	}
	return nil
}

// Telling returns the try that tells most about the outcome: the one used, or judged by; else the one whose reason is
// the attempt's and that came furthest; else the last.
func (a *Attempt) Telling() *Try {
	if t := a.Used(); t != nil {
		return t
	}
	var best *Try
	for i := range a.Tries {
		t := &a.Tries[i]
		if t.Judged {
			return t
		}
		if t.Reason == a.Reason && (best == nil || best.Evidence == nil && t.Evidence != nil) {
			best = t
		}
	}
	if best == nil && len(a.Tries) > 0 {
		best = &a.Tries[len(a.Tries)-1]
	}
	return best
}

// KeptBy returns what is published and enforced that kept mail from going; nil where it went, or nothing did.
func (a *Attempt) KeptBy() *policy.Published {
	if a == nil || a.Used() != nil || a.Own() {
		return nil
	}
	if t := a.Telling(); t != nil {
		return t.FellShortOf()
	}
	return nil
}

// FellShortOf returns what is published and enforced that the try fell short of: of several what gave the reason; nil
// for nothing. What a rule demands besides is none of it.
func (t *Try) FellShortOf() (out *policy.Published) {
	for i := range t.Published {
		p := &t.Published[i]
		if p.Mode != policy.Enforced || len(p.Shortfalls) == 0 {
			continue
		}
		if slices.ContainsFunc(p.Shortfalls, func(s policy.Shortfall) bool { return s.Reason == t.Reason }) {
			return p
		}
		if out == nil {
			out = p
		}
	}
	return out
}

// Hint is what whoever must act can do about the attempt's reason, where asker demands what is not published: of
// policy.Info.HintFor; "" where there is no reason.
func (a *Attempt) Hint(asker string) string {
	if a.Reason == "" {
		return ""
	}
	kind := ""
	if p := a.KeptBy(); p != nil {
		kind = p.Kind
	}
	return a.Info().HintFor(kind, asker)
}

// TLS returns the TLS facts of the try, nil for plaintext.
func (t *Try) TLS() *mail.TLS {
	if t == nil || t.Evidence == nil {
		return nil
	}
	return t.Evidence.TLS
}

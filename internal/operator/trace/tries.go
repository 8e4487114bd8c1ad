package trace

import (
	"cmp"
	"strconv"
	"time"

	"postern/internal/attempt"
)

// Try is one connection of an attempt, as people look at it.
type Try struct {
	At         time.Time
	Took       time.Duration
	Host, IP   string
	Rung       string
	Used       bool
	Judged     bool // by what it offers the gateway decided to send nothing
	Reached    string
	Reason     string
	Text       string // our words
	Remote     string // the peer's words
	Alert      string
	TLS        string // version, cipher, bits, group
	Subject    string
	Issuer     string
	NotAfter   *time.Time
	SHA256     string
	Presented  []string
	Shortfalls []string
}

// Tries lists the connections of a delivery's recorded attempts in order. An attempt without any is one try that says
// why.
func Tries(t *Delivery) []Try {
	var out []Try
	for i := range t.Attempts {
		a := &t.Attempts[i]
		if len(a.Tries) == 0 {
			out = append(out, Try{At: a.At, Took: time.Duration(a.TookMS) * time.Millisecond, Reason: string(a.Reason),
				Text: cmp.Or(a.Text, string(a.Reason))})
		}
		for j := range a.Tries {
			out = append(out, tryOf(&a.Tries[j]))
		}
		if a.Reply != nil && a.Reply.Code >= 400 && len(out) > 0 {
			out[len(out)-1].Remote = ReplyLine(a.Reply)
		}
	}
	return out
}

func tryOf(t *attempt.Try) Try {
	out := Try{At: t.At, Took: time.Duration(t.TookMS) * time.Millisecond, Host: t.Host, Rung: string(t.Rung),
		Used: t.Used, Judged: t.Judged, Reached: t.Reached.String(), Reason: string(t.Reason), Text: t.Text,
		Remote: t.Remote, Alert: t.Alert}
	if t.IP.IsValid() {
		out.IP = t.IP.String()
	}
	if tls := t.TLS(); tls != nil {
		out.TLS = tls.Version + " " + tls.Cipher + " (" + strconv.Itoa(tls.Bits) + " bits) " + tls.Group
	}
	if e := t.Evidence; e != nil {
		out.Presented = e.Presented
		if len(e.Chain) > 0 {
			leaf := &e.Chain[0]
			out.Subject, out.Issuer, out.NotAfter, out.SHA256 = leaf.Subject, leaf.Issuer, Instant(leaf.NotAfter),
				leaf.SHA256
		}
	}
	for _, s := range t.Shortfalls {
		out.Shortfalls = append(out.Shortfalls, string(s.Reason)+": "+s.Text)
	}
	return out
}

// RevisionName is a revision's number as text; 0 is "none".
func RevisionName(n int64) string {
	if n == 0 {
		return "none"
	}
	return strconv.FormatInt(n, 10)
}

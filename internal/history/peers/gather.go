package peers

import (
	"net/netip"
	"slices"
	"strings"

	"postern/internal/attempt"
	"postern/internal/policy"
)

// Gather folds an attempt into one observation for each address that answered EHLO, in the order they were tried. A
// handshake that failed and then worked on a lower rung is TLS that works.
func Gather(a *attempt.Attempt, forced bool) []Observation {
	var out []Observation
	for i := range a.Tries {
		t := &a.Tries[i]
		if t.Offer == nil || !t.IP.IsValid() {
			continue
		}
		key := Key{t.Host, netip.AddrPortFrom(t.IP, t.Port)}
		at := slices.IndexFunc(out, func(o Observation) bool { return o.Key == key })
		if at < 0 {
			at = len(out)
			out = append(out, Observation{Key: key, At: t.At, Keywords: worthKeeping(t.Offer.Keywords), Forced: forced})
		}
		out[at].add(t)
	}
	for i := range out {
		if out[i].TLS != nil {
			out[i].Reason = ""
		}
	}
	return out
}

func (o *Observation) add(t *attempt.Try) {
	o.Offered = o.Offered || t.Offer.StartTLS
	o.Plain = o.Plain || t.Used && t.Reached == policy.Plaintext
	if o.Reason == "" {
		o.Reason = t.Reason
	}
	if t.Reached < policy.Encrypted || t.TLS() == nil {
		return
	}
	o.TLS, o.Level = t.TLS(), t.Reached
	if len(t.Evidence.Chain) > 0 {
		c := &t.Evidence.Chain[0]
		o.Certificate = &Certificate{Subject: c.Subject, Issuer: c.Issuer, NotBefore: c.NotBefore.UTC(),
			NotAfter: c.NotAfter.UTC(), SHA256: c.SHA256, SPKI: c.SPKI}
	}
}

// kept lists the keywords that say something about a server; STARTTLS has its own place, and what strangers invent
// none.
const kept = " 8BITMIME AUTH BINARYMIME CHUNKING DSN ENHANCEDSTATUSCODES LIMITS MT-PRIORITY PIPELINING REQUIRETLS " +
	"SIZE SMTPUTF8 "

// worthKeeping picks from the lines of EHLO.
func worthKeeping(lines []string) []string {
	var out []string
	for _, line := range lines {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		word = strings.ToUpper(word)
		if strings.Contains(kept, " "+word+" ") && word != "" {
			out = append(out, word)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

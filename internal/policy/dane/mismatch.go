package dane

import (
	"fmt"
	"slices"

	"postern/internal/dns"
	"postern/internal/mail"
	"postern/internal/policy"
)

// maxListed is how many records a sentence quotes before it counts the rest.
const maxListed = 5

// uselessText says why none of the records can be used.
func (e *examination) uselessText() string {
	if len(e.set.Unusable) == 0 {
		return "there are no TLSA records"
	}
	var why []string
	for _, u := range e.set.Unusable {
		why = append(why, brief(u.Record)+": "+u.Why)
	}
	return "none of the TLSA records can be used (" + mail.AtMost(why, maxListed, "; ") + ")"
}

// mismatchText says what the records want, what the server has, and which mistake it looks like.
func (e *examination) mismatchText() string {
	var wanted []string
	for _, r := range e.counted {
		wanted = append(wanted, brief(r))
	}
	text := fmt.Sprintf("none of the TLSA records (%s) matches; the server has %s",
		mail.AtMost(wanted, maxListed, ", "), mail.AtMost(e.presented(), maxListed, ", "))
	if n := len(e.set.Unusable); n > 0 {
		text += fmt.Sprintf("; %d more cannot be used (%s)", n, e.set.Unusable[0].Why)
	}
	return text + e.mistake()
}

// unreachedText says why no anchor vouches for the leaf. An anchor that was sent is worth a word: what leads to it is
// missing.
func (e *examination) unreachedText(anchors []anchor, shortfalls []policy.Shortfall) string {
	i := slices.IndexFunc(anchors, func(an anchor) bool { return an.sent })
	if i < 0 || len(shortfalls) == 0 {
		return e.mismatchText()
	}
	return fmt.Sprintf("the server sent the issuer of TLSA record %s, but its own certificate does not lead there: %s",
		brief(anchors[i].record), shortfalls[0].Text)
}

// presented writes the certificates that were sent as records of the kinds that count: the leaf as usage 3, those above
// it as usage 2. What would be whole certificates and keys is told by its SHA-256.
func (e *examination) presented() (out []string) {
	for _, r := range e.counted {
		for _, s := range e.named(r.Usage) {
			have := dns.TLSA{Usage: r.Usage, Selector: r.Selector, Matching: max(r.Matching, sha2x256)}
			have.Data = s.form[have.Selector][have.Matching]
			if text := Format(have); !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
	}
	if len(out) == 0 {
		out = append(out, "only its own certificate, and no issuer's")
	}
	return out
}

// named returns the certificates that a record of the usage may name: the leaf, or those above it.
func (e *examination) named(usage uint8) []sent {
	if usage == daneTA {
		return e.above()
	}
	return e.sent[:1]
}

// mistake names the mistake that the records look like, among those seen in the field.
func (e *examination) mistake() string {
	for _, r := range e.aside {
		if slices.ContainsFunc(e.named(r.Usage), func(s sent) bool { return s.matches(r) }) {
			return fmt.Sprintf("; %s does match, but does not count beside a SHA-512 digest (RFC 7671 §9)", brief(r))
		}
	}
	for _, r := range e.counted {
		if should, ok := e.meant(r); ok {
			return fmt.Sprintf("; %s is that of a certificate sent, but should be published as %d %d %d",
				brief(r), should.Usage, should.Selector, should.Matching)
		}
	}
	if slices.ContainsFunc(e.counted, func(r dns.TLSA) bool { return r.Usage == daneTA && r.Matching != full }) {
		return "; an issuer that a digest names must be among the certificates the server sends (RFC 7671 §5.2.2)"
	}
	return ""
}

// meant finds the numbers with which the octets of r would match.
func (e *examination) meant(r dns.TLSA) (dns.TLSA, bool) {
	for i, s := range e.sent {
		should := r
		should.Usage = daneTA
		if i == 0 {
			should.Usage = daneEE
		}
		for _, should.Selector = range []uint8{cert, spki} {
			if s.matches(should) {
				return should, true
			}
		}
	}
	return dns.TLSA{}, false
}

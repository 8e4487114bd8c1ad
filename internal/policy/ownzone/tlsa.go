package ownzone

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"slices"

	"postern/internal/dns"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/dane"
)

// ownHosts are the hosts whose TLSA records are judged: ours, by configuration and by the MX records.
func (j *judgement) ownHosts() []mail.Domain {
	out := j.own.Hosts()
	for i := range j.seen.Domains {
		for _, mx := range sorted(j.seen.Domains[i].MX.Records) {
			if !mx.Host.IsZero() && j.ours(mx.Host) && !slices.Contains(out, mx.Host) {
				out = append(out, mx.Host)
			}
		}
	}
	return out
}

// tlsaLook is the judgement of the TLSA records of one host.
type tlsaLook struct {
	*judgement
	host   mail.Domain
	set    dane.Set
	shown  []Certificate
	proven int  // of shown
	anchor bool // all of shown are proven by an issuer
}

// tlsa judges the TLSA records of a host of ours. Without records, and without a next key that should have one, the
// host does without DANE, which is nothing to tell.
func (j *judgement) tlsa(host mail.Domain, h SeenHost) {
	if j.unanswered(mail.Domain{}, tlsaName(host), "TLSA", h.TLSAErr) {
		return
	}
	l := &tlsaLook{judgement: j, host: host, set: dane.Sort(h.TLSA.Records), shown: j.own.shown(host)}
	if len(h.TLSA.Records) > 0 {
		l.signed(h)
	} else if len(j.own.NextKeys) == 0 {
		return
	}
	for _, u := range l.set.Unusable {
		l.tell(TLSAUnusable, Wrong,
			"a TLSA record cannot be used: "+u.Why, short(u.Record), "",
			"take it out; `postern records` prints those that work")
	}
	l.present()
	l.next()
	l.records()
}

// tell adds a finding about the records of the host.
func (l *tlsaLook) tell(code Code, level Level, text, there, want, hint string) {
	l.once(Finding{Code: code, Level: level, Name: tlsaName(l.host), Text: text, There: there, Want: want, Hint: hint})
}

// signed judges whether senders will look at the records at all (RFC 7672 §2.2).
func (l *tlsaLook) signed(h SeenHost) {
	switch {
	case !l.seen.Validates:
		l.tell(DNSSECUnknown, Unknown,
			"nobody's word is believed that the TLSA records are signed", "", "",
			"ask a validating resolver, as dns.trust_ad says")
		return
	case !h.TLSA.Secure:
		l.tell(TLSAUnsigned, Wrong,
			"the TLSA records are not signed (DNSSEC), so that nobody looks at them", "", "",
			"sign the zone and publish its DS record, or take the records out")
		return
	}
	for i := range l.seen.Domains {
		d := &l.seen.Domains[i]
		if d.MXErr == nil && !d.MX.Secure &&
			slices.ContainsFunc(d.MX.Records, func(mx dns.MX) bool { return mx.Host == l.host }) {
			l.add(Finding{Code: MXUnsigned, Level: Warning, Domain: d.Name, Name: d.Name.String(),
				Text: fmt.Sprintf("the MX records of %s are not signed: whoever forges them leads mail past the "+
					"TLSA records of %s", d.Name, l.host),
				Hint: "sign the zone of the domain"})
		}
	}
}

// present judges whether the records prove what the host shows.
func (l *tlsaLook) present() {
	known := slices.ContainsFunc(l.set.Usable, l.known)
	anchors := 0
	for _, c := range l.shown {
		proof := dane.Examine(dane.Input{Chain: c.Chain, Records: l.set.Usable, Names: []mail.Domain{l.host},
			Now: l.seen.Now})
		if proof.Proven() {
			l.proven++
			if proof.By == policy.ByDANETA {
				anchors++
			}
			continue
		}
		want := ""
		if r, err := dane.Of(c.Chain[0], 3, 1, 1); err == nil {
			want = dane.Format(r)
		}
		fault, code := proof.Shortfalls[0], TLSAMismatch
		text := fmt.Sprintf("senders with DANE refuse %s: %s", c.File, fault.Text)
		if fault.Reason == policy.DANEUnusable || fault.Reason == policy.DANEMismatch && known {
			code, text = TLSAMissing, fmt.Sprintf("the present key, of %s, has no TLSA record: senders with DANE "+
				"refuse it", c.File)
		}
		l.tell(code, Wrong, text, l.published(), want, "publish the TLSA record of the present key; "+roll)
	}
	l.anchor = anchors > 0 && anchors == len(l.shown)
}

// roll is how a key is changed (RFC 7671 §8.1).
const roll = "the record of a next key comes first, the key when the record has been there for two times to live"

// published lists the records there are.
func (l *tlsaLook) published() string {
	var out []string
	for _, r := range l.set.Usable {
		out = append(out, short(r))
	}
	return mail.AtMost(out, 4, ", ")
}

// next judges whether the next keys could be put in place.
func (l *tlsaLook) next() {
	for _, k := range l.own.NextKeys {
		if slices.ContainsFunc(l.set.Usable, func(r dns.TLSA) bool { return ofKey(r, k) }) ||
			slices.ContainsFunc(l.shown, func(c Certificate) bool { return k.is(c.Chain[0]) }) {
			continue
		}
		level := Wrong
		if l.anchor {
			level = Warning // a certificate of the same issuer will be proven all the same
		}
		l.tell(TLSANextMissing, level,
			fmt.Sprintf("the next key, %s, has no TLSA record: once it is in use, senders with DANE refuse it", k.File),
			l.published(), dane.Format(dane.OfKey(k.SPKI)), "publish its record now; "+roll)
	}
}

// records judges each record by itself.
func (l *tlsaLook) records() {
	for _, r := range l.set.Usable {
		if !l.known(r) && (r.Usage == 3 || l.proven < len(l.shown)) {
			level := Warning
			if l.proven < len(l.shown) || len(l.shown) == 0 {
				level = Wrong
			}
			l.tell(TLSALeftover, level,
				"a TLSA record is of no key that this gateway has or will have"+ofNothing(r), short(r), "",
				"take it out once the present key has its record")
		}
		if r.Usage == 3 && r.Selector == 0 {
			l.tell(TLSACertificate, Warning,
				"a TLSA record is of the whole certificate and ends with the next renewal, whether the key stays "+
					"or not", short(r), "",
				"publish that of the key, 3 1 1, instead")
		}
	}
}

// known reports whether a record is of something that we show or will show.
func (l *tlsaLook) known(r dns.TLSA) bool {
	if slices.ContainsFunc(l.own.NextKeys, func(k Key) bool { return ofKey(r, k) }) {
		return true
	}
	for _, c := range l.shown {
		for i, cert := range c.Chain {
			if made, err := dane.Of(cert, r.Usage, r.Selector, r.Matching); err == nil &&
				bytes.Equal(made.Data, r.Data) && (r.Usage == 3) == (i == 0) {
				return true
			}
		}
	}
	return r.Usage == 2 && r.Matching == 0 && l.anchors(r)
}

// anchors reports whether a record that holds an issuer vouches for something we show.
func (l *tlsaLook) anchors(r dns.TLSA) bool {
	return slices.ContainsFunc(l.shown, func(c Certificate) bool {
		proof := dane.Examine(dane.Input{Chain: c.Chain, Records: []dns.TLSA{r}, Names: []mail.Domain{l.host},
			Now: l.seen.Now})
		return proof.Proven()
	})
}

// ofKey reports whether a record is of a key, in any of its forms.
func ofKey(r dns.TLSA, k Key) bool {
	if r.Usage != 3 || r.Selector != 1 {
		return false
	}
	switch r.Matching {
	case 0:
		return bytes.Equal(r.Data, k.SPKI)
	case 1:
		sum := sha256.Sum256(k.SPKI)
		return bytes.Equal(r.Data, sum[:])
	}
	sum := sha512.Sum512(k.SPKI)
	return bytes.Equal(r.Data, sum[:])
}

// ofNothing recognizes the digest that scripts publish whose command had no output.
func ofNothing(r dns.TLSA) string {
	a, b := sha256.Sum256(nil), sha512.Sum512(nil)
	if bytes.Equal(r.Data, a[:]) || bytes.Equal(r.Data, b[:]) {
		return ": it is the digest of nothing, as of a command that failed"
	}
	return ""
}

// short is a record for people: of long data the beginning.
func short(r dns.TLSA) string {
	if len(r.Data) > sha512.Size {
		return dane.Format(dns.TLSA{Usage: r.Usage, Selector: r.Selector, Matching: r.Matching,
			Data: r.Data[:sha256.Size]}) + "..."
	}
	return dane.Format(r)
}

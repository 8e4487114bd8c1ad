package rules

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/mail"
	"postern/internal/policy"
)

// defaultRule is a rule before its keys are read.
func defaultRule() Rule {
	return Rule{
		Scope: Outbound,
		Mode:  Enforce,
		ForceTLS: ForceTLS{
			Unspecified: UnspecifiedForce,
			Names:       policy.Names{MX: true},
			Trust:       policy.PublicTrust,
			MinTLS:      tls.VersionTLS12,
			Defer:       24 * time.Hour,
		},
	}
}

// word reads a string that is one of a few words.
func word(p *problems, e entry, words ...string) (string, bool) {
	s, ok := str(p, e)
	if !ok {
		return "", false
	}
	if slices.Contains(words, s) {
		return s, true
	}
	hint := "write one of " + quotedWords(words)
	if near := nearest(s, words); near != "" {
		hint = "did you mean " + quote(near) + "?"
	}
	p.add(e.value.at, fmt.Sprintf("%s cannot be %s", e.key, quote(clip(s))), hint)
	return "", false
}

func quotedWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, ", ")
}

func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}

// str reads a string.
func str(p *problems, e entry) (string, bool) {
	if e.value.kind != unstable.String {
		p.add(e.value.at, e.key+" must be a string, not "+kindName(e.value.kind), "write "+e.key+" = \"...\"")
		return "", false
	}
	return e.value.text, true
}

func kindName(k unstable.Kind) string {
	switch k {
	case unstable.String:
		return "a string"
	case unstable.Bool:
		return "true or false"
	case unstable.Integer, unstable.Float:
		return "a number"
	case unstable.Array:
		return "a list"
	case unstable.Table:
		return "a table"
	}
	return "a date or time"
}

// list reads a list of strings that is not empty, and hands each to check with its place.
func list(p *problems, e entry, check func(value string, at span)) []string {
	if e.value.kind != unstable.Array {
		hint := "write " + e.key + " = [\"...\"]"
		if e.value.kind == unstable.String {
			hint = "write " + e.key + " = [" + quote(clip(e.value.text)) + "]"
		}
		p.add(e.value.at, e.key+" must be a list, not "+kindName(e.value.kind), hint)
		return nil
	}
	if len(e.value.items) == 0 {
		p.add(e.at, e.key+" is an empty list", "leave the key out when it should not matter")
	}
	var out []string
	for _, item := range e.value.items {
		if item.kind != unstable.String {
			p.add(item.at, "a value of "+e.key+" must be a string, not "+kindName(item.kind), "put it in double quotes")
			continue
		}
		check(item.text, item.at)
		out = append(out, item.text)
	}
	return out
}

// maxName and maxDescription bound the text of a rule for people, in octets.
const (
	maxName        = 80
	maxDescription = 1000
)

func readName(p *problems, r *Rule, e entry) {
	s, ok := str(p, e)
	if !ok {
		return
	}
	if !validName(s) {
		p.add(e.value.at, fmt.Sprintf("%s is no name for a rule", quote(clip(s))),
			fmt.Sprintf("a name has 1 to %d ASCII letters, digits, blanks and any of ._-/@:+(), and begins with a letter or digit", maxName))
		return
	}
	r.Name = s
}

func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || strings.IndexByte(" ._-/@:+()", c) < 0) {
			return false
		}
	}
	return s != "" && len(s) <= maxName && !strings.HasSuffix(s, " ")
}

func readDescription(p *problems, r *Rule, e entry) {
	s, ok := str(p, e)
	if !ok {
		return
	}
	if len(s) > maxDescription || strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		p.add(e.value.at, "description is too long or has a line end or control character",
			fmt.Sprintf("write one line of at most %d octets", maxDescription))
		return
	}
	r.Description = s
}

func readScope(p *problems, r *Rule, e entry) {
	if s, ok := word(p, e, string(Outbound), string(Inbound), string(Disabled)); ok {
		r.Scope = Scope(s)
		if r.Scope == Inbound {
			p.add(e.value.at, "no action of this release works on inbound mail",
				"force-tls is about the way from the gateway to the recipient's server: write scope = \"outbound\"")
		}
	}
}

func readMode(p *problems, r *Rule, e entry) {
	if s, ok := word(p, e, string(Enforce), string(Test)); ok {
		r.Mode = Mode(s)
	}
}

func readAction(p *problems, r *Rule, e entry) {
	if s, ok := word(p, e, string(ForceTLSAction)); ok {
		r.Action = Action(s)
	}
}

func readExpires(p *problems, r *Rule, e entry) {
	const hint = "write a date, 2027-12-31, or an instant with its zone, 2027-12-31T18:00:00Z, without quotes"
	text := e.value.text
	switch e.value.kind {
	case unstable.LocalDate:
		if day, err := time.Parse(time.DateOnly, text); err == nil {
			r.Expires = Expiry{At: day.AddDate(0, 0, 1), Date: true}
			return
		}
	case unstable.DateTime:
		if len(text) > 10 {
			text = strings.ToUpper(text[:10] + "T" + text[11:])
		}
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			r.Expires = Expiry{At: at.UTC()}
			return
		}
	case unstable.LocalDateTime:
		p.add(e.value.at, "expires has a time of day without a zone", hint)
		return
	}
	p.add(e.value.at, "expires is no date", hint)
}

func readSender(p *problems, r *Rule, e entry)    { r.Match.Sender = addresses(p, e, true) }
func readRecipient(p *problems, r *Rule, e entry) { r.Match.Recipient = addresses(p, e, false) }

func addresses(p *problems, e entry, nullAllowed bool) []string {
	return list(p, e, func(value string, at span) {
		var scratch addressList
		if err := scratch.compileAddress(value, nullAllowed); err != nil {
			p.add(at, fmt.Sprintf("%s in %s: %v", quote(clip(value)), e.key, err),
				"write an address, a domain, *.domain, a pattern with * and ?, or re: and an RE2 expression")
		}
	})
}

func readSenderIP(p *problems, r *Rule, e entry) {
	list(p, e, func(value string, at span) {
		if ip, err := netip.ParseAddr(value); err == nil && ip.Zone() == "" {
			ip = ip.Unmap()
			r.Match.SenderIP = append(r.Match.SenderIP, netip.PrefixFrom(ip, ip.BitLen()))
			return
		}
		network, err := netip.ParsePrefix(value)
		switch {
		case err != nil || network.Addr().Is4In6():
			p.add(at, fmt.Sprintf("%s is no IP address or network", quote(clip(value))), "write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32")
		case network != network.Masked():
			p.add(at, fmt.Sprintf("the network %s has bits beyond its length", quote(clip(value))), "write "+network.Masked().String())
		default:
			r.Match.SenderIP = append(r.Match.SenderIP, network)
		}
	})
}

// parseSize reads "10MB", "512 KiB" or a plain number of bytes.
func parseSize(s string) (int64, bool) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	unit := strings.TrimLeft(s[digits:], " ")
	if err != nil {
		return 0, false
	}
	if unit == "" {
		return n, true
	}
	for _, u := range units {
		if strings.EqualFold(unit, u.name) {
			return n * u.size, n <= (1<<63-1)/u.size
		}
	}
	return 0, false
}

func readSizeOver(p *problems, r *Rule, e entry) {
	if k := e.value.kind; k == unstable.String || k == unstable.Integer {
		text := e.value.text
		if k == unstable.Integer {
			text = strings.ReplaceAll(text, "_", "")
		}
		if n, ok := parseSize(text); ok && n > 0 {
			r.Match.SizeOver = n
			return
		}
	}
	p.add(e.value.at, "size_over is no size above zero",
		`write a number of bytes, or one with a unit: "10MB" is 10,000,000 bytes, "10MiB" is 10,485,760`)
}

func readRecipientsOver(p *problems, r *Rule, e entry) {
	if e.value.kind == unstable.Integer {
		n, err := strconv.ParseInt(strings.ReplaceAll(e.value.text, "_", ""), 0, 32)
		if err == nil && n > 0 {
			r.Match.RecipientsOver = int(n)
			return
		}
	}
	p.add(e.value.at, "recipients_over is no whole number above zero", "recipients_over = 50 holds for 51 recipients and more")
}

func readCase(p *problems, r *Rule, e entry) {
	if e.value.kind != unstable.Bool {
		p.add(e.value.at, "case must be true or false, not "+kindName(e.value.kind), "write case = true")
		return
	}
	r.Match.Case = e.value.text == "true"
}

func readSubject(p *problems, r *Rule, e entry) {
	r.Match.Subject = list(p, e, func(value string, at span) { checkText(p, e.key, value, at) })
}

func checkText(p *problems, key, value string, at span) {
	if _, err := compileText(value, false); err != nil {
		p.add(at, fmt.Sprintf("%s in %s: %v", quote(clip(value)), key, err),
			"write text with * and ?, which must fit the whole value, or re: and an RE2 expression")
	}
}

func readHeader(p *problems, r *Rule, e entry) {
	const form = `write header = [{ name = "X-Classification", value = "secret*" }]`
	if e.value.kind != unstable.Array || len(e.value.items) == 0 {
		p.add(e.value.at, "header must be a list of names and values", form)
		return
	}
	for _, item := range e.value.items {
		if item.kind != unstable.Table {
			p.add(item.at, "a value of header must be a table, not "+kindName(item.kind), form)
			continue
		}
		if h, ok := headerMatch(p, item, form); ok {
			r.Match.Header = append(r.Match.Header, h)
		}
	}
}

func headerMatch(p *problems, item *node, form string) (h HeaderMatch, ok bool) {
	before := len(p.list)
	for _, k := range item.keys {
		switch k.key {
		case "name":
			if h.Name, ok = str(p, k); ok && !validFieldName(h.Name) {
				p.add(k.value.at, fmt.Sprintf("%s is no name of a header field", quote(clip(h.Name))), "write it without the colon")
			}
		case "value":
			if h.Value, ok = str(p, k); ok {
				checkText(p, "header", h.Value, k.value.at)
			}
		default:
			p.add(k.at, fmt.Sprintf("unknown key %s in header", quote(clip(k.key))), form)
		}
	}
	if item.get("name") == nil || item.get("value") == nil {
		p.add(item.at, "a value of header needs a name and a value", form)
	}
	return h, len(p.list) == before
}

// validFieldName asks for what a scanner of headers can find (RFC 5322 §3.6.8).
func validFieldName(s string) bool {
	return s != "" && len(s) <= 100 && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == ':' })
}

func readUnspecified(p *problems, r *Rule, e entry) {
	if s, ok := word(p, e, string(UnspecifiedForce), string(UnspecifiedOpportunistic)); ok {
		r.ForceTLS.Unspecified = Unspecified(s)
	}
}

func readNames(p *problems, r *Rule, e entry) {
	if e.value.kind == unstable.String {
		switch s := e.value.text; s {
		case "mx":
			r.ForceTLS.Names = policy.Names{MX: true}
		case "domain":
			r.ForceTLS.Names = policy.Names{Domain: true}
		default:
			p.add(e.value.at, fmt.Sprintf("names cannot be %s", quote(clip(s))),
				`write "mx", "domain", or a list of certificate names: ["mail.clinic.test"]`)
		}
		return
	}
	var names []string
	list(p, e, func(value string, at span) {
		name, err := certificateName(value)
		if err != "" {
			p.add(at, fmt.Sprintf("%s in names: %s", quote(clip(value)), err),
				`write host names of certificates, "mail.clinic.test" or "*.clinic.test"; "mx" and "domain" stand alone, without a list`)
		}
		names = append(names, name)
	})
	slices.Sort(names)
	r.ForceTLS.Names = policy.Names{List: slices.Compact(names)}
}

// certificateName reads a DNS name as certificates carry it (RFC 9525 §6.3): a wildcard is the whole left-most label.
func certificateName(value string) (name, fault string) {
	host, wild := strings.CutPrefix(value, "*.")
	d, err := mail.ParseDomain(host)
	if _, ipErr := netip.ParseAddr(host); err != nil || ipErr == nil || strings.HasPrefix(host, "[") {
		return "", "not a DNS name"
	}
	if !strings.Contains(d.String(), ".") {
		return "", "a name of one label"
	}
	if wild {
		return "*." + d.String(), ""
	}
	return d.String(), ""
}

// mxWords and revocationWords are the values of DESIGN §7, the one that this release carries out first.
var (
	mxWords         = []string{"any", "pinned", "proven"}
	revocationWords = []string{"off", "check", "require"}
)

func readMX(p *problems, r *Rule, e entry) {
	if s, ok := word(p, e, mxWords...); ok && s != mxWords[0] {
		p.add(e.value.at, fmt.Sprintf("this release cannot judge where an MX name comes from, so mx cannot be %s", quote(s)),
			`write mx = "any"; names = "domain" or a list of names needs no trust in DNS`)
	}
	r.ForceTLS.MX = policy.MXAny
}

func readRevocation(p *problems, r *Rule, e entry) {
	if s, ok := word(p, e, revocationWords...); ok && s != revocationWords[0] {
		p.add(e.value.at, fmt.Sprintf("this release does not look up revocation, so revocation cannot be %s", quote(s)),
			`write revocation = "off"; pins limit which key is accepted`)
	}
	r.ForceTLS.Revocation = policy.RevocationOff
}

func readTrust(p *problems, r *Rule, e entry) {
	s, ok := str(p, e)
	if !ok {
		return
	}
	file := strings.ContainsAny(s, "/.") && s != "." && s != ".." && !strings.HasSuffix(s, "/")
	if s != policy.PublicTrust && (!file || len(s) > 4096 || strings.ContainsFunc(s, unicode.IsControl)) {
		p.add(e.value.at, fmt.Sprintf("trust cannot be %s", quote(clip(s))),
			`write "public", or the path of a file of CA certificates: "/etc/postern/partner-ca.pem"`)
		return
	}
	r.ForceTLS.Trust = s
}

func readPins(p *problems, r *Rule, e entry) {
	if e.value.kind == unstable.Array && len(e.value.items) == 0 {
		return // the default, spelled out
	}
	pins := list(p, e, func(value string, at span) {
		digest, ok := strings.CutPrefix(strings.ToLower(value), "sha256:")
		if !ok || len(digest) != 64 || strings.Trim(digest, "0123456789abcdef") != "" {
			p.add(at, fmt.Sprintf("%s is no pin", quote(clip(value))),
				`write "sha256:" and the 64 hexadecimal digits of the digest of the certificate's public key info`)
		}
	})
	for i := range pins {
		pins[i] = strings.ToLower(pins[i])
	}
	slices.Sort(pins)
	r.ForceTLS.Pins = slices.Compact(pins)
}

func readMinTLS(p *problems, r *Rule, e entry) {
	versions := []string{"1.0", "1.1", "1.2", "1.3"}
	if s, ok := word(p, e, versions...); ok {
		r.ForceTLS.MinTLS = tls.VersionTLS10 + uint16(slices.Index(versions, s))
	}
}

func readDefer(p *problems, r *Rule, e entry) {
	s, ok := str(p, e)
	if !ok {
		return
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second {
		p.add(e.value.at, fmt.Sprintf("defer cannot be %s", quote(clip(s))), `write a time of one second or more: "24h", "90m", "30s"`)
		return
	}
	r.ForceTLS.Defer = d
}

func readWithoutTLS(p *problems, r *Rule, e entry) {
	if s, ok := word(p, e, string(WithoutTLSDefer), string(WithoutTLSReject)); ok {
		r.ForceTLS.WithoutTLS = WithoutTLS(s)
	}
}

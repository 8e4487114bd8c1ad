package received

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The ways to write a TLS session down.
var (
	// Postfix, Postern, Stalwart, Dovecot: (using TLSv1.3 with cipher NAME (256/256 bits) key-exchange X25519 ...)
	usingForm   = regexp.MustCompile(`^(?i:using) (\S+) with cipher (\S+)(?: \((\d+)(?:/(\d+))? bits\))?`)
	keyExchange = regexp.MustCompile(` key-exchange (\S+)(?: \(([^()]*)\))?`)
	serverSign  = regexp.MustCompile(` server-signature (\S+)`)
	clientName  = regexp.MustCompile(`^Client CN "(.*)", Issuer "(.*)" \((verified OK|not verified)\)$`)
	// Sendmail, Gmail, Exchange, older Haraka: (version=TLSv1.3 cipher=NAME bits=256/256 verify=NO)
	versionForm = regexp.MustCompile(`^(?:TLS )?version=([^\s,]+),? cipher=([^\s,]+)`)
	cipherForm  = regexp.MustCompile(`^cipher=([^\s,]+) .*verify=`)
	bitsWord    = regexp.MustCompile(`\bbits=(\d+)(?:/(\d+))?`)
	verifyWord  = regexp.MustCompile(`\bverify=(\w+)`)
	// MDaemon of old: (Cipher TLSv1:NAME:128)
	// Exim, OpenSMTPD: (TLSv1.3:NAME:256) and (TLSv1.3:NAME:256:NO); Exim since 4.94: (TLS1.3) tls NAME
	colonForm   = regexp.MustCompile(`^(?:Cipher )?((?:TLS|SSL)v?[\d._]*):([^:\s]+)(?::(\d+))?(?::([\w-]+))?$`)
	versionOnly = regexp.MustCompile(`^(?:TLS|SSL)v?\d[\d._]*$`)
	// Mox: (TLS1.3 NAME)
	blankForm = regexp.MustCompile(`^((?:TLS|SSL)v?\d[\d._]*) ([A-Z][\w-]+)$`)
	// Courier: (IDENT: x, AUTH: y, TLS: TLSv1.3,256bits,NAME)
	courierForm = regexp.MustCompile(`(?:^|, )(?:TLS|SSL): ([^\s,]+)(?:,(\d+)bits)?,([^\s,]+)$`)
	// qmail with the TLS patches: (NAME encrypted), (TLSv1.3 NAME encrypted); s/qmail: (de-/crypted with TLSv1.3: NAME
	// [256/256])
	qmailForm  = regexp.MustCompile(`^(?:((?:TLS|SSL)\S*) )?(\S+) encrypted(?:, authenticated)?$`)
	sqmailForm = regexp.MustCompile(`^(?:de-/|en)?crypted with ([^\s:]+): (\S+)(?: \[(\d+)/(\d+)\])?`)

	gnutlsGroup = regexp.MustCompile(`^(?:EC)?DHE_([A-Z0-9]+)__`)
	protocol    = regexp.MustCompile(`^(?:UTF8)?(E?SMTP|LMTP|ASMTP)(S?)(A?)$`)
	tlsVersion  = regexp.MustCompile(`^TLS-?v?1(?:[._]([0-3]))?$`)
)

// deCrypted begins s/qmail's words about the session, which stand in the open, not in a comment.
const deCrypted = "de-/crypted"

// readTLS finds what the line says about TLS: in its keyword, in the places where programs of its form write the
// session, and in what else its writer says. The law:
//
//   - A session that is written out is believed, also where the keyword has no S: many writers never learned RFC 3848.
//   - A line that speaks of TLS in any place of the writer's is never Plain, also where its words are not understood.
//   - A line that contradicts itself is Silent.
//
// The places where peers get to write (what they call themselves, names of addresses, certificates, the envelope) are
// not listened to.
func (l *Line) readTLS(c clauses) {
	stated := l.readSession(c)
	l.Version = version(l.Version)
	keyword, heard := l.keyword(c), l.listen(c)
	clause := l.Cipher == "" && l.readTLSClause(c)
	switch {
	case stated && strings.Contains(l.Cipher, "NULL"):
		l.TLS = Plain
		l.note("TLS with a cipher that does not encrypt")
	case heard.denied && (stated || clause || heard.mentioned || keyword == Encrypted):
		l.contradict("one part of it says that there was TLS, another that there was none")
	case heard.denied:
		l.TLS = Plain
	case clause && !stated && keyword == Plain, stated && keyword == Plain && l.exact() && !l.beforeBy(c):
		l.contradict("its keyword says that there was no TLS, its text names a session")
	case stated || clause:
		l.TLS = Encrypted
	case keyword != Encrypted && heard.mentioned:
		l.TLS = Silent
		l.note("the line speaks of TLS in words that do not tell whether there was a session")
	default:
		l.TLS = keyword
		if keyword == Silent && l.mute(c) {
			l.note("programs of this form write the same keyword with and without TLS")
		}
	}
	if l.TLS == Encrypted && l.Version == "" && l.Cipher == "" {
		l.note("neither version nor cipher is given")
	}
}

// contradict makes the line say nothing.
func (l *Line) contradict(how string) {
	l.TLS = Silent
	l.note("the line contradicts itself: " + how)
	l.Version, l.Cipher, l.Bits, l.BitsTotal, l.Group, l.Signature, l.Client = "", "", 0, 0, "", "", ""
}

// exact reports whether programs of this form never write a session beside a keyword without S.
func (l *Line) exact() bool {
	switch l.Form {
	case Postern, Postfix, Gmail, OpenSMTPD, Mox, Stalwart, Haraka:
		return true
	}
	return false
}

// beforeBy reports whether the session stands in Postfix's place, before the writer's name. There it is believed
// against the keyword, which Postfix before 2.3 never wrote with an S, and today does not for HELO.
func (l *Line) beforeBy(c clauses) bool { return anyPrefix(c.comments("from"), "using ") }

// keyword is what the word after "with" says (RFC 3848 §1, RFC 6531 §4.3).
func (l *Line) keyword(c clauses) Channel {
	words := c.words("with")
	if len(words) == 0 {
		return Silent
	}
	first := strings.ToUpper(words[0])
	if first == "MICROSOFT" && len(words) > 1 {
		return l.microsoft(c)
	}
	m := protocol.FindStringSubmatch(first)
	switch {
	case m != nil && m[2] == "" && l.mute(c):
		return Silent
	case first == "HTTPS":
		return Encrypted
	case m == nil || m[1] == "ASMTP": // which Exim once wrote with and without TLS
		return Silent
	case m[2] == "S":
		return Encrypted
	case m[1] == "SMTP" && !strings.HasPrefix(first, "UTF8") && !l.tellsHelo():
		l.note(`"with SMTP" does not tell whether there was TLS`)
		return Silent
	}
	return Plain
}

// tellsHelo reports whether programs of this form write down TLS even in a session begun with HELO, for which RFC 3848
// has no keyword.
func (l *Line) tellsHelo() bool {
	switch l.Form {
	case Gmail, Qmail, Exchange, Amavis, Cyrus, Other:
		return false
	}
	return true
}

// mute reports whether programs of this form write the same keyword with and without TLS: James did until 3.9, which
// large providers still run, SendGrid and Domino do.
func (l *Line) mute(c clauses) bool {
	return l.Form == James || slices.Contains(c.comments("by"), "SG") ||
		anyPrefix(c.comments("by"), "Lotus Domino", "IBM Domino", "HCL Domino") ||
		slices.ContainsFunc(c.comments("by"), func(s string) bool { return strings.Contains(s, "Hermes SMTP Server") })
}

// microsoft reads "Microsoft SMTP Server (TLS)"; without a comment there was none. The older SMTPSVC tells nothing.
func (l *Line) microsoft(c clauses) Channel {
	if !strings.EqualFold(c.words("with")[1], "SMTP") {
		return Silent
	}
	for _, text := range c.comments("with") {
		if text == "TLS" || versionForm.MatchString(text) {
			return Encrypted
		}
	}
	return Plain
}

// readSession looks for the session in the places of the line's form, and reports whether it is there.
func (l *Line) readSession(c clauses) bool {
	if l.Form == Qmail && l.readQmailSession(c) {
		return true
	}
	for _, text := range c.comments("from") {
		if l.readUsing(text) || l.Form == Courier && l.readCourier(text) {
			l.readClient(c.comments("from"))
			return true
		}
	}
	if l.readWith(c.words("with")) {
		l.readDetails(c.own("with", "id", "for", afterDate))
		return true
	}
	if l.Form != Exim && l.Form != Qmail && slices.ContainsFunc(l.peerless(c), l.readBare) {
		return true
	}
	places := []string{"by", "with", "id", "for", afterDate}
	if l.Form == Exim {
		places = []string{"with"}
	}
	texts := c.own(places...)
	return l.readDetails(texts) || slices.ContainsFunc(texts, l.readBare)
}

// readDetails reads the first text that names a session.
func (l *Line) readDetails(texts []string) bool {
	return slices.ContainsFunc(texts, func(text string) bool {
		return l.readUsing(text) || l.readVersion(text) || l.readColon(text)
	})
}

// readTLSClause reads the clause of RFC 8314 §4.3. Exim writes it beside the version.
func (l *Line) readTLSClause(c clauses) bool {
	name := c.word("tls")
	if name == "" {
		return false
	}
	l.Cipher = strings.TrimRight(name, ",")
	return true
}

// readQmailSession reads the words of qmail's TLS patches.
func (l *Line) readQmailSession(c clauses) bool {
	texts := append(append([]string(nil), c.comments("with")...), c.comments("from")...)
	if i := slices.Index(c.words("from"), deCrypted); i >= 0 {
		texts = append(texts, strings.Join(c.words("from")[i:], " "))
	}
	return slices.ContainsFunc(texts, func(text string) bool {
		return !qmailHelo.MatchString(text) && l.readQmail(text)
	})
}

func (l *Line) readUsing(text string) bool {
	m := usingForm.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	l.Version, l.Cipher, l.Bits, l.BitsTotal = m[1], m[2], number(m[3]), number(m[4])
	if k := keyExchange.FindStringSubmatch(text); k != nil {
		switch l.Group = k[1]; {
		case strings.HasSuffix(k[2], "bits"):
			l.Group += " " + k[2]
		case k[2] != "":
			l.Group = k[2]
		}
	}
	if s := serverSign.FindStringSubmatch(text); s != nil {
		l.Signature = s[1]
	}
	return true
}

// readClient reads what Postfix says of the client certificate.
func (l *Line) readClient(comments []string) {
	for _, text := range comments {
		switch m := clientName.FindStringSubmatch(text); {
		case m != nil:
			l.ClientCN, l.Client = m[1], ClientCertUnverified
			if m[3] == "verified OK" {
				l.Client = ClientCertVerified
			}
		case strings.HasPrefix(text, "Client RPK "):
			l.Client = ClientCertUnverified
		case text == "Client did not present a certificate":
			l.Client = ClientCertNone
		case text == "No client certificate requested":
			l.Client = ClientCertNotRequested
		default:
			continue
		}
		return
	}
}

func (l *Line) readVersion(text string) bool {
	if m := versionForm.FindStringSubmatch(text); m != nil {
		l.Version, l.Cipher = m[1], m[2]
	} else if m := cipherForm.FindStringSubmatch(text); m != nil {
		l.Cipher = m[1]
	} else {
		return false
	}
	if m := bitsWord.FindStringSubmatch(text); m != nil {
		l.Bits, l.BitsTotal = number(m[1]), number(m[2])
	}
	if m := verifyWord.FindStringSubmatch(text); m != nil {
		l.Client = verified(m[1])
	}
	return true
}

// verified reads Sendmail's words for the outcome of verifying the client's certificate.
func verified(s string) ClientCert {
	switch strings.ToUpper(s) {
	case "OK", "TRUSTED", "YES":
		return ClientCertVerified
	case "NO":
		return ClientCertNone
	case "NOT":
		return ClientCertNotRequested
	case "FAIL":
		return ClientCertUnverified
	}
	return ""
}

func (l *Line) readColon(text string) bool {
	if m := blankForm.FindStringSubmatch(text); m != nil {
		l.Version, l.Cipher = m[1], m[2]
		return true
	}
	if versionOnly.MatchString(text) {
		l.Version = text
		return true
	}
	m := colonForm.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	l.Version, l.Cipher, l.Bits = m[1], m[2], number(m[3])
	switch {
	case l.Form == OpenSMTPD && m[4] == "YES":
		l.Client = ClientCertVerified
	case l.Form == Exim:
		l.Group = m[4]
	}
	if g := gnutlsGroup.FindStringSubmatch(l.Cipher); g != nil && l.Group == "" && g[1] != "RSA" {
		l.Group = g[1]
	}
	return true
}

func (l *Line) readCourier(text string) bool {
	m := courierForm.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	l.Version, l.Bits, l.Cipher = m[1], number(m[2]), m[3]
	return true
}

func (l *Line) readQmail(text string) bool {
	if m := qmailForm.FindStringSubmatch(text); m != nil {
		l.Version, l.Cipher = m[1], m[2]
		return true
	}
	m := sqmailForm.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	l.Version, l.Cipher, l.Bits, l.BitsTotal = m[1], m[2], number(m[3]), number(m[4])
	return true
}

// version gives the names of one version one spelling; what it does not know stays as it is.
func version(s string) string {
	m := tlsVersion.FindStringSubmatch(s)
	switch {
	case m == nil:
		return s
	case m[1] == "" || m[1] == "0":
		return "TLSv1"
	}
	return "TLSv1." + m[1]
}

// obsolete reports whether a version is older than TLS 1.2 (RFC 8996 §1).
func obsolete(v string) bool {
	return v == "TLSv1" || v == "TLSv1.1" || strings.HasPrefix(v, "SSL")
}

// anonymous reports whether a cipher suite uses no certificate at all.
func anonymous(cipher string) bool {
	return strings.HasPrefix(cipher, "ADH-") || strings.HasPrefix(cipher, "AECDH-") ||
		strings.Contains(cipher, "_anon_") ||
		strings.Contains(cipher, "_ANON_")
}

// number reads digits; a number too large for sense is 0.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n > 1<<16 {
		return 0
	}
	return n
}

package examiner

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"

	"postern/internal/check"
	"postern/internal/policy"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpclient"
	"postern/internal/smtp/tlsprobe"
)

// wants says what a server would like with which no handshake of ours completed, from what it showed in the clear.
// alert is the one that ended the handshake.
func wants(probes []probed, alert string, add addFinding) {
	if len(probes) == 0 || probes[len(probes)-1].answer == nil {
		return
	}
	last := &probes[len(probes)-1]
	if !last.answer.Chosen {
		refusesAll(probes, alert, add)
		return
	}
	a := last.answer
	what := versionName(a.Version) + ", " + a.Suite.String()
	if group := groupName(a); group != "" {
		what += ", " + group
	}
	say := func(code, format string, args ...any) { add(check.Fault, code, policy.Them, format, args...) }
	switch {
	case a.Version == tlsprobe.SSL30:
		say(check.SSL3Only, "of all that was offered the server speaks SSL 3.0 (%s), which is broken and forbidden "+
			"(RFC 7568); its software needs an update", what)
	case last.name != probeAll:
		say(check.VersionIntolerant, "the server breaks off when TLS 1.2 is offered, and answers only one that "+
			"offers nothing newer than %s (%s); its software, or a firewall before it, needs an update",
			strings.TrimPrefix(last.name, "everything to "), what)
	default:
		unspoken(a, what, say)
	}
	unreadable(a, say)
}

// unspoken says what of the server's choice our TLS does not speak; where there is nothing of the kind the handshake
// broke later.
func unspoken(a *tlsprobe.Answer, what string, say func(code, format string, args ...any)) {
	const prefer = "Please enable ECDHE with AES-GCM or ChaCha20-Poly1305"
	exchange := a.Suite.Exchange()
	_, _, broken := tlsprobe.Unreadable(a.Chain)
	switch {
	case exchange == tlsprobe.DHE:
		say(check.DHEOnly, "of all that was offered the server chooses Diffie-Hellman in a finite field (%s), "+
			"which our TLS does not speak. %s", what, prefer)
	case exchange == tlsprobe.Anonymous:
		say(check.AnonymousOnly, "of all that was offered the server chooses a handshake in which it proves "+
			"nothing (%s): it probably has no certificate that it can use. Please install one", what)
	case !spoken(a.Suite):
		say(check.SuiteUnsupported, "of all that was offered the server chooses a cipher suite that our TLS does "+
			"not speak (%s). %s", what, prefer)
	case a.Curve > 0 && !spokenCurve(a.Curve):
		say(check.CurveUnsupported, "of all that was offered the server chooses a curve that our TLS does not "+
			"speak (%s). Please enable X25519 or P-256", what)
	case a.Version < tlsprobe.TLS12:
		say(check.LegacyOnly, "TLS works only with what is outdated (%s)", what)
	case len(a.Chain) > 0 && !broken && badKey(a.Chain[0]) != "":
		say(check.KeyUnsupported, "the certificate's key is one that our TLS refuses: %s (%s). Please use RSA of "+
			"2048 to 4096 bits or ECDSA on P-256", badKey(a.Chain[0]), what)
	case broken:
	case a.ClientCertificate:
		say(check.ClientCertificateAsked, "the server answers as it should (%s) and asks for a certificate of "+
			"ours; the handshake breaks after that. A mail server must not insist on one", what)
	default:
		say(check.BreaksLater, "the server answers as it should (%s), and the handshake breaks after that: its key "+
			"may not fit its certificate", what)
	}
}

// spokenCurve reports whether crypto/tls speaks a curve below TLS 1.3.
func spokenCurve(id uint16) bool { return id == 29 || id >= 23 && id <= 25 }

// badKey says why crypto/tls refuses the key of a certificate, "" where it does not.
func badKey(der []byte) string {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return ""
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 1024 || bits > 8192 {
			return fmt.Sprintf("RSA with %d bits", bits)
		}
		return ""
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return ""
	}
	if cert.PublicKeyAlgorithm == x509.UnknownPublicKeyAlgorithm {
		return "of an unknown kind"
	}
	return cert.PublicKeyAlgorithm.String()
}

// unreadable tells of a certificate that no handshake of ours gets past.
func unreadable(a *tlsprobe.Answer, say func(code, format string, args ...any)) {
	i, g, broken := tlsprobe.Unreadable(a.Chain)
	if !broken {
		return
	}
	what := "certificate"
	if i > 0 {
		what = fmt.Sprintf("certificate %d of the chain", i+1)
	}
	var known []string
	for _, part := range []struct{ label, value string }{{"for ", g.Subject}, {"issued by ", g.Issuer},
		{"until ", g.NotAfter}} {
		if part.value != "" {
			known = append(known, part.label+smtp.Printable(part.value, 100))
		}
	}
	if len(known) > 0 {
		what += " (" + strings.Join(known, ", ") + ")"
	}
	say(check.CertificateUnreadable, "the server's %s breaks the rules so that it cannot be read: %s. Please have "+
		"it issued anew", what, smtp.Printable(g.Fault, 200))
}

// refusesAll speaks of a server that no offer pleases.
func refusesAll(probes []probed, alert string, add addFinding) {
	// An offer of TLS 1.2 can be answered by anything older, so who refuses it for its version speaks nothing of the
	// kind.
	if reason, _ := probes[0].refusal(); reason == policy.TLSVersion {
		text := "the server speaks nothing older than TLS 1.3, and there it shows nothing in the clear that could " +
			"say more"
		if strings.HasSuffix(alert, "(sent by us)") {
			text += "; our side broke off, as it does when a certificate cannot be read"
		}
		add(check.Note, check.TLS13Only, "", "%s", text)
		return
	}
	var ends []string
	for i := range probes {
		p := &probes[i]
		end := "no answer"
		if p.answer.Alerted {
			end = "alert " + smtpclient.AlertName(p.answer.Alert)
		}
		ends = append(ends, versionName(p.offer)+": "+end)
	}
	add(check.Fault, check.NothingAccepted, policy.Them,
		"the server breaks off whatever is offered, from SSL 3.0 to TLS 1.2 with every cipher suite (%s): it "+
			"probably cannot use its certificate or key, or something before it does not let TLS through",
		strings.Join(ends, "; "))
}

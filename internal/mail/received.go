package mail

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
)

// Received is the trace line the gateway puts on top of every message it accepts (RFC 5321 §4.4), with the inbound
// hop's TLS in the comments people know from Postfix:
//
//	Received: from mail.example.com (mail.example.com [192.0.2.7])
//		(using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits)
//		 key-exchange X25519MLKEM768 server-signature ECDSA)
//		(No client certificate requested)
//		by gw.example.com (Postern) with ESMTPS id 06bq4x2k9y8m3f7a
//		for <dr@clinic.test>; Tue, 1 Dec 2026 10:00:00 +0000
//
// Filters further on count "unknown" against a client. So it stands only where DNS answered that there is no name;
// where that is not known the address stands alone, which is a form of RFC 5321 §4.4 too: "from mail.example.com
// ([192.0.2.7])".
//
// Helo and the certificate's names are the peer's words: every character that could end the line, a comment or a
// quotation is printed as "?".
type Received struct {
	Helo        string     // as the client said it
	ReverseName Domain     // of the client's address, which it leads back to; zero prints none
	NoReverse   bool       // there is no such name, DNS says so: prints unknown
	Client      netip.Addr // invalid prints no address
	TLS         *TLS       // nil: no TLS
	Hostname    Domain     // ours
	Protocol    string     // RFC 3848 keyword: "ESMTPS", "UTF8SMTPSA"; "" prints SMTP
	ID          string     // of the message
	For         Address    // the one recipient; the zero Address prints no "for"
	Date        time.Time
}

// lineWidth is where lines are folded (RFC 5322 §2.1.1). A single word may be longer.
const lineWidth = 77

// maxPeerWord bounds each of the peer's words in the line.
const maxPeerWord = 255

// AppendTo appends the field with its line ends (CRLF), folded. Unfolded, every fold inside a clause is one blank.
func (r Received) AppendTo(b []byte) []byte {
	b = appendFolded(b, "Received: ", strings.Fields("from "+r.from()))
	for _, clause := range r.tlsClauses() {
		b = appendFolded(b, "\r\n\t", strings.Fields(clause))
	}
	by := fmt.Sprintf("by %s (Postern) with %s id %s",
		r.Hostname, peerText(cmp.Or(r.Protocol, "SMTP"), isWordRune), peerText(r.ID, isWordRune))
	date := r.Date.UTC().Format("Mon, 2 Jan 2006 15:04:05 -0700")
	if to, ok := r.forWord(); ok {
		b = appendFolded(b, "\r\n\t", strings.Fields(by))
		b = appendFolded(b, "\r\n\t", append([]string{"for", "<" + to + ">;"}, strings.Fields(date)...))
	} else {
		b = appendFolded(b, "\r\n\t", strings.Fields(by+";"))
		b = appendFolded(b, "\r\n\t", strings.Fields(date))
	}
	return append(b, "\r\n"...)
}

// from names the client: what it said, and the TCP-info of RFC 5321 §4.4.
func (r Received) from() string {
	var info []string
	if !r.ReverseName.IsZero() {
		info = append(info, peerText(r.ReverseName.String(), isWordRune))
	}
	ip := r.Client.Unmap().WithZone("")
	if r.ReverseName.IsZero() && (r.NoReverse || !ip.IsValid()) {
		info = append(info, "unknown")
	}
	switch {
	case ip.Is4():
		info = append(info, "["+ip.String()+"]")
	case ip.Is6():
		info = append(info, "[IPv6:"+ip.String()+"]")
	}
	return heloText(r.Helo) + " (" + strings.Join(info, " ") + ")"
}

// heloText prints the name of EHLO as an A-label where it is a domain, else its harmless characters.
func heloText(helo string) string {
	if d, err := ParseDomain(helo); err == nil && !isASCII(helo) {
		return d.String()
	}
	return peerText(cmp.Or(helo, "unknown"), isWordRune)
}

// tlsClauses returns the comments about the channel, none without TLS.
func (r Received) tlsClauses() []string {
	if r.TLS == nil {
		return nil
	}
	using := fmt.Sprintf("(using %s with cipher %s (%d/%d bits)",
		peerText(r.TLS.Version, isWordRune), peerText(r.TLS.Cipher, isWordRune), r.TLS.Bits, r.TLS.Bits)
	if r.TLS.Group != "" {
		using += " key-exchange " + peerText(r.TLS.Group, isWordRune)
	}
	if r.TLS.Signature != "" {
		using += " server-signature " + peerText(r.TLS.Signature, isTextRune)
	}
	return []string{using + ")", "(" + r.TLS.Client.stamp() + ")"}
}

// stamp says what is known of the client certificate, in the words of Postfix.
func (c *ClientCertificate) stamp() string {
	switch {
	case c == nil:
		return "No client certificate requested"
	case !c.Presented:
		return "Client did not present a certificate"
	}
	verified := "not verified"
	if c.Verified {
		verified = "verified OK"
	}
	return fmt.Sprintf("Client CN \"%s\", Issuer \"%s\" (%s)", peerText(commonName(c.Subject), isTextRune),
		peerText(commonName(c.Issuer), isTextRune), verified)
}

// commonName takes the CN out of a distinguished name in the form of RFC 4514, or returns all of a name without one.
func commonName(dn string) string {
	for rest := dn; rest != ""; {
		end := 0
		for end < len(rest) && rest[end] != ',' && rest[end] != '+' {
			if rest[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(rest))
		if value, ok := strings.CutPrefix(strings.TrimLeft(rest[:end], " "), "CN="); ok {
			return value
		}
		rest = rest[min(end+1, len(rest)):]
	}
	return dn
}

// forWord returns the one recipient as it is printed. A recipient that only UTF-8 can print stands in a header only
// where the message travels under SMTPUTF8 (RFC 6531 §3.7.3).
func (r Received) forWord() (to string, ok bool) {
	to = r.For.String()
	if to == "" || !r.For.IsASCII() && !strings.HasPrefix(r.Protocol, "UTF8") {
		return "", false
	}
	return to, !strings.ContainsFunc(to, func(c rune) bool { return !unicode.IsPrint(c) })
}

// peerText returns s with everything but the harmless characters replaced by "?", bounded.
func peerText(s string, harmless func(rune) bool) string {
	clean := strings.Map(func(c rune) rune {
		if harmless(c) {
			return c
		}
		return '?'
	}, s)
	return clean[:min(len(clean), maxPeerWord)]
}

// isWordRune allows the characters of names, address literals and protocol words.
func isWordRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-:[]", c)
}

// isTextRune allows printable ASCII that means nothing inside a comment or between quotes (RFC 5322 §3.2.2).
func isTextRune(c rune) bool { return c >= ' ' && c <= '~' && !strings.ContainsRune(`()"\`, c) }

// appendFolded appends lead and the words with one blank between them, a new line beginning with a blank wherever the
// next word would pass lineWidth.
func appendFolded(b []byte, lead string, words []string) []byte {
	b = append(b, lead...)
	col := len(lead)
	if strings.HasSuffix(lead, "\t") {
		col = 8
	}
	for i, word := range words {
		switch {
		case i == 0:
		case col+1+len(word) > lineWidth:
			b, col = append(b, "\r\n "...), 1
		default:
			b, col = append(b, ' '), col+1
		}
		b, col = append(b, word...), col+len(word)
	}
	return b
}

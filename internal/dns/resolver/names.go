package resolver

import (
	"crypto/rand"
	"strings"

	"postern/internal/mail"
)

// hostName turns a name of a reply, in presentation form, into a Domain and a text to show. The Domain is zero for the
// root and for names that no host can have: those with escaped octets (a dot inside a label is not a separator), blanks
// and the like.
func hostName(presented string) (mail.Domain, string) {
	if presented == "." {
		return mail.Domain{}, "."
	}
	// The case means nothing, and may well be the random one of our own question that the server's compression repeats.
	text := strings.ToLower(strings.TrimSuffix(presented, "."))
	if strings.ContainsAny(text, `\[`) {
		return mail.Domain{}, text
	}
	d, err := mail.ParseDomain(text)
	if err != nil {
		return mail.Domain{}, text
	}
	return d, text
}

// fqdn is the presentation form of d for a question.
func fqdn(d mail.Domain) string { return d.String() + "." }

// randomCase returns name with each letter in a random case (the "0x20" trick): a forged reply must guess them too.
func randomCase(name string) string {
	coins := make([]byte, len(name))
	rand.Read(coins) // never fails
	b := []byte(name)
	for i, c := range b {
		if c >= 'a' && c <= 'z' && coins[i]&1 == 1 {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// unescape turns the presentation form of character strings (\DDD and \X, RFC 1035 §5.1) into the octets they stand
// for.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		if v, ok := decimalOctet(s[i+1:]); ok {
			b.WriteByte(v)
			i += 3
			continue
		}
		i++
		b.WriteByte(s[i])
	}
	return b.String()
}

func decimalOctet(s string) (byte, bool) {
	if len(s) < 3 {
		return 0, false
	}
	v := 0
	for _, c := range []byte(s[:3]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return byte(v), v < 256
}

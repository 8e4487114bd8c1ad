package mimewalk

import "strings"

// What is said of parts that nobody can look into.
const (
	isPGP  = "is encrypted (PGP)"
	isCMS  = "is encrypted or signed as one part (S/MIME), which is not looked into"
	isTNEF = "has a part in TNEF (winmail.dat), which is not looked into"
	isRPM  = "is encrypted (rights management, message.rpmsg)"
)

// opaque says why nobody can look into a part, "" where that may be. Programs go by the name, too, where a gateway on
// the way did not know the type and wrote application/octet-stream (RFC 8551 §3.2.1): .p7m has a message in it, .p7z a
// compressed one; .p7s is a signature beside what it signs, .p7c certificates alone.
func (h *head) opaque() string {
	switch h.kind {
	case "application/ms-tnef", "application/vnd.ms-tnef", "application/x-ms-tnef", "application/x-tnef":
		return isTNEF
	case "application/pkcs7-mime", "application/x-pkcs7-mime", "application/cms":
		return isCMS
	case "application/pgp-encrypted", "application/x-pgp-encrypted", "application/x-pgp-message":
		return isPGP
	case "application/x-microsoft-rpmsg-message", "application/vnd.ms-rpmsg":
		return isRPM
	case "message/partial", "message/external-body":
		return "has a part whose content is elsewhere"
	case "application/pgp-signature", "application/pgp-keys":
		return ""
	}
	if h.sealed {
		return isPGP
	}
	for _, name := range h.names {
		name = strings.Trim(strings.ToLower(name), " .\t")
		for end, why := range opaqueNames {
			if strings.HasSuffix(name, end) {
				return why
			}
		}
	}
	return ""
}

// opaqueNames are ends of names. PGP writes "encrypted.asc" beside the part that says so (RFC 3156 §4), which gateways
// lose; other .asc files are signatures and keys, which the first octets tell.
var opaqueNames = map[string]string{".p7m": isCMS, ".p7z": isCMS, "winmail.dat": isTNEF, ".rpmsg": isRPM,
	"encrypted.asc": isPGP, ".pgp": isPGP, ".gpg": isPGP}

// maxPeek is how many octets of a part that is not read are looked at, their encoding undone.
const maxPeek = 1 << 10

// What opaque parts begin with, whatever their type and name say: TNEF ([MS-OXTNEF] §2.1.3.1) and a message under
// rights management ([MS-OXORMMS] §2.1.3).
const (
	beginsTNEF = "\x78\x9f\x3e\x22"
	beginsRPM  = "\x76\xe8\x04\x60\xc4\x11\xe3\x86"
)

// holdsCMS are the types of CMS that have a message in them, as they stand in its first octets: enveloped, and
// enveloped with authentication.
var holdsCMS = []string{"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03",
	"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17"}

// peeked says why nobody can look into a part that begins so, "" where that may be.
func peeked(data string) string {
	switch {
	case strings.HasPrefix(data, beginsTNEF):
		return isTNEF
	case strings.HasPrefix(data, beginsRPM):
		return isRPM
	case strings.HasPrefix(data, "\x30"):
		for _, oid := range holdsCMS {
			if strings.Contains(data[:min(len(data), 32)], oid) {
				return isCMS
			}
		}
	}
	return armoured(data)
}

// armours are the lines that encrypted text begins with: of OpenPGP, of CMS (RFC 7468 §8 and §9), of what was before
// and came after them. What is signed in the clear is read as it is.
var armours = []struct{ line, why string }{
	{"PGP MESSAGE", isPGP}, {"PKCS7", isCMS}, {"CMS", isCMS}, {"PRIVACY-ENHANCED MESSAGE", "is encrypted (PEM)"},
	{"AGE ENCRYPTED FILE", "is encrypted (age)"},
}

// armoured says why text is encrypted, "" where none is.
func armoured(text string) string {
	const begin = "-----BEGIN"
	for {
		_, rest, found := strings.Cut(text, begin)
		if !found {
			return ""
		}
		label := strings.Join(strings.Fields(rest[:min(len(rest), 60)]), " ")
		for _, a := range armours {
			if strings.HasPrefix(label, a.line) {
				return a.why
			}
		}
		text = rest
	}
}

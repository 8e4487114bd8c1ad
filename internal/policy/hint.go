package policy

import "strings"

// ByRule and ByOwn say, beside FromRequireTLS, who demands something of a delivery: a rule, or the configuration on the
// way to a domain of ours. "" is nobody.
const (
	ByRule = "rule"
	ByOwn  = "own"
)

// Asker says who demands most of a delivery with these demands: ByRule, FromRequireTLS, ByOwn, "".
func Asker(ds []Demand) string {
	out := ""
	for _, d := range ds {
		source, _ := Inherited(d.Source)
		switch {
		case strings.HasPrefix(source, ruleSource):
			return ByRule
		case source == FromRequireTLS:
			out = FromRequireTLS
		case out == "":
			out = ByOwn
		}
	}
	return out
}

// Asker is Asker of a requirement of which nobody knows whose demands it joins.
func (r Requirement) Asker() string {
	switch {
	case r.RequireTLS:
		return FromRequireTLS
	case r.Forced():
		return ByRule
	}
	return ""
}

// HintFor is what whoever must act can do where published is the kind of the published policy that fell short, "" for
// none, and asker demands the rest. Hint is for ByRule: what one can change in a rule helps nobody else.
func (i Info) HintFor(published, asker string) string {
	hint := i.unruled()
	switch {
	case published == "" && asker == ByRule:
		return i.Hint
	case !i.Class.AboutProtection():
		return hint
	case published != "" && asker == "":
		return orElse(hint, "until then an [[exception]] in the rules, with ignore = [\""+published+"\"], has mail go "+
			"without")
	case published != "":
		return hint
	case asker == FromRequireTLS && i.Reason != RequireTLSNotOffered:
		return orElse(hint, "or send the message again without REQUIRETLS")
	case asker == ByOwn:
		return orElse(hint, "or change what its [[domain]] in the configuration demands")
	}
	return hint
}

func orElse(hint, more string) string { return strings.TrimSuffix(hint, ".") + "; " + more + "." }

// unruled is the hint without what one can change in a rule.
func (i Info) unruled() string {
	switch i.Reason {
	case MXUnproven:
		return "The domain's owner must sign its DNS or publish MTA-STS: only that proves the host's name."
	case TLSVersion:
		return "The host's administrator must enable TLS 1.2 or 1.3."
	case TLSNoSharedCipher:
		return "The host's administrator must enable ECDHE with AES-GCM or ChaCha20-Poly1305."
	case CertSelfSigned, CertUntrusted:
		return "The host needs a certificate of a public CA."
	case CertNameMismatch:
		return "The host needs a certificate whose DNS names include the expected one."
	case RevocationUnknown:
		return "Check that this gateway reaches the CA's OCSP and CRL addresses over HTTP; where the certificate " +
			"promises a stapled OCSP answer, the host must staple one."
	}
	return i.Hint
}

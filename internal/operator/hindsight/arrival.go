package hindsight

import (
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/smtp"
)

// Arrived says what would have become of mail that others brought under a demand of rules about incoming mail; passed
// is what it satisfied then, reject that it would have been refused for good. The record says over which TLS it came;
// of a client's certificate it says only whether one was shown.
func Arrived(in *queue.Inbound, would, passed policy.Requirement, reject bool) Answer {
	e := policy.Evidence{TLS: in.TLS}
	open := ""
	if in.TLS != nil {
		e.TLSVersion = smtp.TLSVersion(in.TLS.Version)
		would, open = arrivalKnown(in, would, passed, &e)
	}
	short := policy.Verdict(would, e)
	switch {
	case len(short) > 0 && reject:
		return Answer{WouldReturn, short[0].Reason, short[0].Text}
	case len(short) > 0:
		return Answer{WouldWait, short[0].Reason, short[0].Text}
	case open != "":
		return Answer{Outcome: NotKnown, Text: open}
	}
	return Answer{Outcome: AsNow}
}

// arrivalKnown leaves out of a demand what the record does not answer, and says what that is: the client's certificate,
// unless none was shown or what it satisfied then is as much.
func arrivalKnown(in *queue.Inbound, would, passed policy.Requirement,
	e *policy.Evidence) (asked policy.Requirement, open string) {
	if would.Channel < policy.Authenticated {
		return would, ""
	}
	if in.TLS.Client != nil && !in.TLS.Client.Presented {
		e.Peers = map[string]policy.Proof{}
		for _, d := range would.Demands() {
			e.Peers[d.Key()] = policy.Proof{Shortfalls: []policy.Shortfall{{Reason: policy.CertUntrusted,
				Text: "the client presented no certificate"}}}
		}
		return would, ""
	}
	asked = policy.Requirement{Channel: policy.Encrypted, MinTLS: would.VersionFloor(), MinBits: would.MinBits,
		KeyExchange: would.KeyExchange}
	proof := policy.Requirement{Channel: would.Channel, Peer: would.Peer, Revocation: would.Revocation,
		MinTLS: passed.MinTLS}
	if passed.AtLeast(proof) {
		return asked, ""
	}
	return asked, "the certificate that the client showed is not kept"
}

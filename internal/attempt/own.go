package attempt

import (
	"slices"

	"postern/internal/policy"
)

// Own reports whether this gateway decided by itself that the next hop can never take the message as it is: the peer
// was not asked, and no word of it decided.
func (a *Attempt) Own() bool { return a != nil && a.Status != "" }

// Refuse makes an attempt the record of a decision of our own, with the detail of its enhanced code ("6.3"): what was
// used is judged by, for nothing was sent over it. The tries may stand in other attempts and are not changed there.
func (a *Attempt) Refuse(detail, text string) {
	a.Status, a.Text, a.Reply = detail, "this gateway did not send it: "+text, nil
	a.Tries = slices.Clone(a.Tries)
	for i := range a.Tries {
		if t := &a.Tries[i]; t.Used {
			t.Used, t.Judged = false, true
			*t = t.Sealed()
		}
	}
}

// Info explains why the attempt fell short: who decided, who must act, what can be done. The zero Info where nothing
// did.
func (a *Attempt) Info() policy.Info {
	if a == nil || a.Reason == "" {
		return policy.Info{}
	}
	info := a.Reason.Info()
	if a.Own() && a.Reason == policy.Remote5xx {
		info.Text = "This gateway did not send the message, because the next server cannot take it as it is."
		info.Who, info.Hint, info.Status = policy.Us, ownHint(a.Status), a.Status
	}
	return info
}

// ownHint says what can be done about a decision of our own, by the detail of its status (RFC 3463 §3, RFC 6531 §3.5).
func ownHint(detail string) string {
	offer := func(what string) string {
		return what + "; or the next server must offer more, or the gateway a `[[route]]` by one that does."
	}
	switch detail {
	case "3.4":
		return offer("Send something smaller")
	case "6.3":
		return offer("Send the message again with its text in quoted-printable or base64")
	case "6.7":
		return offer("Use addresses in ASCII letters")
	case "6.9":
		return offer("Send the message again with a header in ASCII letters")
	case "6.0":
		return offer("Send the message again with lines that end in CRLF")
	}
	return "Correct the address and send the message again."
}

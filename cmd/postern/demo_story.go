package main

import (
	"postern/internal/operator/trace"
	"time"
)

// demoWindow is the 24 hours of a forced delivery, compressed.
const demoWindow = 12 * time.Second

// demoRepair is when law.test renews its certificate.
const demoRepair = 6 * time.Second

// demoMessage is one message of the story.
type demoMessage struct {
	from  string
	to    []string
	title string // what it shows
	want  []demoEnd
}

// demoEnd is how the story of one recipient must end.
type demoEnd struct {
	state, reached, reason string
}

var demoMessages = []demoMessage{
	{"anna@practice.test", []string{"dr@clinic.test"}, "Force TLS, good certificate", []demoEnd{{"delivered", "authenticated", ""}}},
	{"anna@practice.test", []string{"desk@bank.test"}, "Force TLS, expired certificate", []demoEnd{{"failed", "", "cert-expired"}}},
	{"anna@practice.test", []string{"clerk@court.test"}, "Force TLS, certificate for another name", []demoEnd{{"failed", "", "cert-name-mismatch"}}},
	{"anna@practice.test", []string{"eve@law.test"}, "Force TLS, expired, renewed while the mail waits", []demoEnd{{"delivered", "authenticated", ""}}},
	{"anna@practice.test", []string{"info@shop.test"}, "no rule, no TLS", []demoEnd{{"delivered", "plaintext", "starttls-not-offered"}}},
	{"anna@practice.test", []string{"board@club.test"}, "no rule, self-signed certificate", []demoEnd{{"delivered", "encrypted", "cert-self-signed"}}},
	{"anna@practice.test", []string{"tours@museum.test"}, "no rule, broken handshake", []demoEnd{{"delivered", "plaintext", "tls-handshake"}}},
	{"anna@practice.test", []string{"old@archive.test"}, "no rule, TLS 1.0 only", []demoEnd{{"delivered", "encrypted", "tls-version"}}},
	{"anna@practice.test", []string{"pier@harbour.test"}, "no rule, the second MX has the better TLS", []demoEnd{{"delivered", "encrypted", "cert-self-signed"}}},
	{"anna@practice.test", []string{"orders@lab.test", "friend@shop.test"}, "box ticked: only the laboratory is forced",
		[]demoEnd{{"delivered", "authenticated", ""}, {"delivered", "plaintext", "starttls-not-offered"}}},
	{"anna@practice.test", []string{"ward@clinic.test", "cousin@shop.test"}, "box not ticked: one match forces all",
		[]demoEnd{{"delivered", "authenticated", ""}, {"failed", "", "starttls-not-offered"}}},
	{"ben@branch.test", []string{"seal@notary.test"}, "Force TLS fails, and so would the bounce", []demoEnd{{"failed", "", "cert-self-signed"}}},
}

// fits reports whether a delivery ended as the story says.
func (e demoEnd) fits(t *trace.Delivery) bool {
	return t.State == e.state && (e.state != "delivered" || t.Reached == e.reached) && t.Reason == e.reason
}

// demoNotices is how the notices of the gateway itself must end: by the recipient, how many delivered and held.
var demoNotices = map[string]map[string]int{
	"anna@practice.test": {"delivered": 3},
	"ben@branch.test":    {"held": 1},
}

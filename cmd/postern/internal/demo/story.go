package demo

import (
	"fmt"
	"time"

	"postern/internal/operator/trace"
)

// window is the 24 hours of a forced delivery, compressed.
const window = 12 * time.Second

// repairAfter is when law.test renews its certificate.
const repairAfter = 6 * time.Second

// message is one message of the story.
type message struct {
	from  string
	to    []string
	title string // what it shows
	want  []ending
}

// ending is how the story of one recipient must end.
type ending struct {
	state, reached, reason string
}

var story = []message{
	{"anna@practice.test", []string{"dr@clinic.test"}, "Force TLS, good certificate", []ending{{"delivered", "authenticated", ""}}},
	{"anna@practice.test", []string{"desk@bank.test"}, "Force TLS, expired certificate", []ending{{"failed", "", "cert-expired"}}},
	{"anna@practice.test", []string{"clerk@court.test"}, "Force TLS, certificate for another name", []ending{{"failed", "", "cert-name-mismatch"}}},
	{"anna@practice.test", []string{"eve@law.test"}, "Force TLS, expired, renewed while the mail waits", []ending{{"delivered", "authenticated", ""}}},
	{"anna@practice.test", []string{"info@shop.test"}, "no rule, no TLS", []ending{{"delivered", "plaintext", "starttls-not-offered"}}},
	{"anna@practice.test", []string{"board@club.test"}, "no rule, self-signed certificate", []ending{{"delivered", "encrypted", "cert-self-signed"}}},
	{"anna@practice.test", []string{"tours@museum.test"}, "no rule, broken handshake", []ending{{"delivered", "plaintext", "tls-handshake"}}},
	{"anna@practice.test", []string{"old@archive.test"}, "no rule, TLS 1.0 only", []ending{{"delivered", "encrypted", "tls-version"}}},
	{"anna@practice.test", []string{"pier@harbour.test"}, "no rule, the second MX has the better TLS", []ending{{"delivered", "encrypted", "cert-self-signed"}}},
	{"anna@practice.test", []string{"hr@office.test"}, "no rule, DANE proves a self-signed certificate", []ending{{"delivered", "authenticated", ""}}},
	{"anna@practice.test", []string{"goods@depot.test"}, "no rule, DANE: another key than is published", []ending{{"queued", "", "dane-mismatch"}}},
	{"anna@practice.test", []string{"orders@lab.test", "friend@shop.test"}, "box ticked: only the laboratory is forced",
		[]ending{{"delivered", "authenticated", ""}, {"delivered", "plaintext", "starttls-not-offered"}}},
	{"anna@practice.test", []string{"ward@clinic.test", "cousin@shop.test"}, "box not ticked: one match forces all",
		[]ending{{"delivered", "authenticated", ""}, {"failed", "", "starttls-not-offered"}}},
	{"ben@branch.test", []string{"seal@notary.test"}, "Force TLS fails, and so would the bounce", []ending{{"failed", "", "cert-self-signed"}}},
}

// fits reports whether a delivery ended as the story says.
func (e ending) fits(t *trace.Delivery) bool {
	return t.State == e.state && (e.state != "delivered" || t.Reached == e.reached) && t.Reason == e.reason
}

// noticesWanted is how the notices of the gateway itself must end: by the recipient, how many delivered and held.
var noticesWanted = map[string]map[string]int{
	"anna@practice.test": {"delivered": 3},
	"ben@branch.test":    {"held": 1},
}

// messageID is the Message-ID of a message of the story, by which its deliveries are found in the trace.
func messageID(i int) string { return fmt.Sprintf("<demo-%d@practice.test>", i+1) }

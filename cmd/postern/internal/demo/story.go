package demo

import (
	"fmt"
	"time"

	"postern/internal/operator/trace"
	"postern/internal/policy"
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
	{"anna@practice.test", []string{"dr@clinic.test"}, "Force TLS, good certificate",
		[]ending{{"delivered", "authenticated", ""}}},
	{"anna@practice.test", []string{"desk@bank.test"}, "Force TLS, expired certificate",
		[]ending{{"failed", "", "cert-expired"}}},
	{"anna@practice.test", []string{"clerk@court.test"}, "Force TLS, certificate for another name",
		[]ending{{"failed", "", "cert-name-mismatch"}}},
	{"anna@practice.test", []string{"eve@law.test"}, "Force TLS, expired, renewed while the mail waits",
		[]ending{{"delivered", "authenticated", ""}}},
	{"anna@practice.test", []string{"info@shop.test"}, "no rule, no TLS",
		[]ending{{"delivered", "plaintext", "starttls-not-offered"}}},
	{"anna@practice.test", []string{"board@club.test"}, "no rule, self-signed certificate",
		[]ending{{"delivered", "encrypted", "cert-self-signed"}}},
	{"anna@practice.test", []string{"tours@museum.test"}, "no rule, broken handshake",
		[]ending{{"delivered", "plaintext", "tls-handshake"}}},
	{"anna@practice.test", []string{"old@archive.test"}, "no rule, TLS 1.0 only",
		[]ending{{"delivered", "encrypted", "tls-version"}}},
	{"anna@practice.test", []string{"pier@harbour.test"}, "no rule, the second MX has the better TLS",
		[]ending{{"delivered", "encrypted", "cert-self-signed"}}},
	{"anna@practice.test", []string{"hr@office.test"}, "no rule, DANE proves a self-signed certificate",
		[]ending{{"delivered", "authenticated", ""}}},
	{"anna@practice.test", []string{"goods@depot.test"}, "no rule, DANE: another key than is published",
		[]ending{{"queued", "", "dane-mismatch"}}},
	{"anna@practice.test", []string{"box@theatre.test"}, "no rule, MTA-STS enforced, expired certificate",
		[]ending{{"queued", "", "cert-expired"}}},
	{"anna@practice.test", []string{"art@gallery.test"}, "no rule, MTA-STS under test: would have waited",
		[]ending{{"delivered", "encrypted", observed}}},
	{"anna@practice.test", []string{"orders@lab.test", "friend@shop.test"}, "box ticked: only the laboratory is forced",
		[]ending{{"delivered", "authenticated", ""}, {"delivered", "plaintext", "starttls-not-offered"}}},
	{"anna@practice.test", []string{"ward@clinic.test", "cousin@shop.test"}, "box not ticked: one match forces all",
		[]ending{{"delivered", "authenticated", ""}, {"failed", "", "starttls-not-offered"}}},
	{"ben@branch.test", []string{"seal@notary.test"}, "Force TLS fails, and so would the bounce",
		[]ending{{"failed", "", "cert-self-signed"}}},
}

// observed stands for a reason: it was delivered, and would have waited if what is published were kept to.
const observed = "would have waited"

// fits reports whether a delivery ended as the story says.
func (e ending) fits(t *trace.Delivery) bool {
	reason := t.Reason
	if wouldHaveWaited(t) {
		reason = observed
	}
	return t.State == e.state && (e.state != "delivered" || t.Reached == e.reached) && reason == e.reason
}

// wouldHaveWaited reports whether a message went only because what is published is under test.
func wouldHaveWaited(t *trace.Delivery) bool {
	p := t.PolicyDetail
	return t.State == "delivered" && p != nil && p.Mode == policy.Testing && len(p.Shortfalls) > 0
}

// noticesWanted is how the notices of the gateway itself must end: by the recipient, how many delivered and held.
var noticesWanted = map[string]map[string]int{
	"anna@practice.test": {"delivered": 3},
	"ben@branch.test":    {"held": 1},
}

// messageID is the Message-ID of a message of the story, by which its deliveries are found in the trace.
func messageID(i int) string { return fmt.Sprintf("<demo-%d@practice.test>", i+1) }

package dispatch_test

import (
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/operator/trace"
	"postern/internal/policy"
	"postern/internal/queue"
)

// What the gateway decides by itself, by what the next server offers, is told as its own decision: in the trace, and to
// the sender. The server heard no MAIL, and no connection is said to have carried anything.
func TestARefusalOfOurOwnIsToldAsOurs(t *testing.T) {
	for _, c := range []struct {
		name, to, offered, status, says, hint string
		shape                                 func(*queue.Message)
	}{
		{"size", "dr@clinic.test", "SIZE 10", "5.3.4", "the next hop takes at most 10", "smaller", nil},
		{"sender", "dr@clinic.test", "8BITMIME", "5.6.7", "the sender address is internationalised", "ASCII", func(m *queue.Message) {
			m.Envelope.From = mail.Address{Local: "ä", Domain: mail.MustDomain("example.test")}
			m.Envelope.UTF8 = true
		}},
		{"recipient and our own line of the header", "ö@clinic.test", "8BITMIME", "5.6.7", "the recipient address is internationalised", "ASCII", func(m *queue.Message) {
			m.Envelope.UTF8, m.HeaderUTF8, m.EightBit = true, true, true
		}},
		{"header", "dr@clinic.test", "8BITMIME", "5.6.9", "the header is internationalised", "header in ASCII", func(m *queue.Message) {
			m.Envelope.UTF8, m.HeaderUTF8, m.EightBit = true, true, true
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			story(t, func(w *world) {
				w.clinic.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mx.clinic.test"}}), Keywords: []string{c.offered}})
				w.own.Set(partner.Behaviour{TLS: w.cert(pki.Options{Names: []string{"mail.example.test"}}), Inside: []string{"SMTPUTF8", "8BITMIME"}})
				w.start()
				w.shape = c.shape
				w.accept("a@example.test", nil, c.to)
				time.Sleep(time.Second)
				rec := w.one(queue.Ordinary)
				if rec.State != queue.Failed || len(mailed(w.clinic)) > 0 {
					t.Fatalf("%v, %q, heard %q", rec.State, rec.Reason, mailed(w.clinic))
				}
				told := trace.Of(&rec)
				if told.Status != c.status || told.Reply != "" || !strings.Contains(told.Text, c.says) || strings.Contains(told.Text, c.status) ||
					!strings.Contains(told.Hint, c.hint) || told.MX != "mx.clinic.test" {
					t.Errorf("told %q %q, hint %q, by %q, at %q", told.Status, told.Text, told.Hint, told.Reply, told.MX)
				}
				if rec.Reason != policy.Remote5xx || told.Who != string(policy.Us) || !strings.HasPrefix(told.Text, "this gateway did not send it: ") {
					t.Errorf("told as %q's: %q", told.Who, told.Text)
				}
				for _, a := range rec.History {
					if a.Used() != nil {
						t.Errorf("nothing was carried, and yet %+v", a.Used())
					}
				}
				reports := w.own.Messages()
				if len(reports) != 1 {
					t.Fatalf("%d reports", len(reports))
				}
				text := strings.Join(strings.Fields(strings.ReplaceAll(reports[0].Data, "=\r\n", "")), " ")
				for _, never := range []string{"The recipient's server refused", "Remote-MTA", "Read the server's reply", ": worked"} {
					if strings.Contains(text, never) {
						t.Errorf("the report says %q: %s", never, text)
					}
				}
				for _, part := range []string{"Status: " + c.status, "Diagnostic-Code: x-postern; " + string(rec.Reason) + ": this gateway did not send it", "nothing was sent over it"} {
					if !strings.Contains(text, part) {
						t.Errorf("the report does not say %q: %s", part, text)
					}
				}
				if !strings.Contains(text, "Who must act: you, or the administrator of this gateway") {
					t.Errorf("who must act: %s", text)
				}
			})
		})
	}
}

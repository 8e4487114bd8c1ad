package intake_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/queue"
)

const twoArchives = `
[[rule]]
name = "archive"
action = "bcc"
[rule.bcc]
to = ["archive@copies.test", "second@copies.test"]
[[rule]]
name = "late"
action = "bcc"
[rule.match]
recipient = ["late.test"]
[rule.bcc]
to = ["third@copies.test", "ARCHIVE@copies.test"]
`

// sends brings a message and returns its deliveries by recipient, and its text as it goes out to each.
func (w *world) sends(text, to string) (records map[string]queue.Record, out map[string]string) {
	w.t.Helper()
	time.Sleep(time.Second) // each message has an id of its own
	s := w.come("10.0.0.5")
	defer s.Close()
	for _, line := range []string{"MAIL FROM:<a@example.test>", "RCPT TO:<" + to + ">", "DATA"} {
		if got := say(s, line); got[0] != '2' && got[0] != '3' {
			w.t.Fatalf("%s: %s", line, got)
		}
	}
	io.WriteString(s, text+".\r\n")
	reply := strings.Fields(s.reply())
	if reply[0] != "250" {
		w.t.Fatalf("%q", reply)
	}
	id := queue.ID(reply[len(reply)-1])
	records, out = map[string]queue.Record{}, map[string]string{}
	body, err := w.store.Open(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	content, err := io.ReadAll(body)
	if err != nil {
		w.t.Fatal(err)
	}
	for r, err := range w.store.List(context.Background(), queue.Filter{IDs: []queue.ID{id}}) {
		if err != nil {
			w.t.Fatal(err)
		}
		address := r.Recipient.Address.String()
		records[address], out[address] = r, r.Effects.Head()+string(content)
	}
	return records, out
}

// recipients are whom a message goes to.
func recipients(records map[string]queue.Record) string {
	var out []string
	for to := range records {
		out = append(out, to)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// A copy that comes back, forwarded by whoever got it, is copied to those alone who have none. So a message is copied
// to nobody twice, however many of those who get copies send them back.
func TestACopyThatComesBackIsNotCopiedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "", twoArchives)
		defer w.close()
		const text = "Subject: x\r\nMessage-ID: <1@example.test>\r\n\r\nx\r\n"
		first, out := w.sends(text, "dr@clinic.test")
		if got := recipients(first); got != "archive@copies.test dr@clinic.test second@copies.test" {
			t.Fatalf("the message goes to %s", got)
		}
		if strings.Contains(out["dr@clinic.test"], "X-Postern-Copy") {
			t.Errorf("the recipient sees that it was copied:\n%s", out["dr@clinic.test"])
		}
		back, again := w.sends(out["archive@copies.test"], "dr@clinic.test")
		if got := recipients(back); got != "dr@clinic.test" {
			t.Errorf("the copy that comes back goes to %s", got)
		}
		const words = "no copy to archive@copies.test, second@copies.test: the message is a copy that came back"
		if e := back["dr@clinic.test"].Effects; len(e) != 1 || e[0].String() != words {
			t.Errorf("the record says %v", e)
		}
		if got := recipients(first); !strings.Contains(got, "archive") || len(first["dr@clinic.test"].Effects[0].To) != 2 {
			t.Errorf("the first record says %v", first["dr@clinic.test"].Effects)
		}
		more, third := w.sends(again["dr@clinic.test"], "x@late.test")
		if got := recipients(more); got != "third@copies.test x@late.test" {
			t.Errorf("to whom a rule copies besides, the copy that comes back goes to %s", got)
		}
		if last, _ := w.sends(third["third@copies.test"], "x@late.test"); recipients(last) != "x@late.test" {
			t.Errorf("in the end the copy goes to %s", recipients(last))
		}

		// Nobody evades a copy by what he writes himself.
		mark := out["archive@copies.test"][:strings.Index(out["archive@copies.test"], "Received:")]
		for what, text := range map[string]string{
			"marks of another message": mark + strings.ReplaceAll(text, "<1@", "<2@"),
			"marks of his own":         "X-Postern-Copy: archive@copies.test\r\nX-Postern-Copy: *\r\n" + text,
			"no Message-ID":            mark + "Subject: x\r\n\r\nx\r\n",
		} {
			if got, _ := w.sends(text, "dr@clinic.test"); recipients(got) != recipients(first) {
				t.Errorf("with %s it goes to %s", what, recipients(got))
			}
		}
	})
}

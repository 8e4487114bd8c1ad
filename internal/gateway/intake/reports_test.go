package intake_test

import (
	"bufio"
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"postern/internal/gateway/intake"
	"postern/internal/mail"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
)

// box takes what has "report" in it, is busy with "busy" and leaves everything else.
type box struct{ kept []string }

func (b *box) take(_ context.Context, content []byte, _ netip.Addr) (bool, *smtp.Reply) {
	switch text := string(content); {
	case strings.Contains(text, "busy"):
		return false, &smtp.Reply{Code: 451, Status: "4.3.2", Lines: []string{"busy"}}
	case strings.Contains(text, "report"):
		b.kept = append(b.kept, text)
		return true, nil
	}
	return false, nil
}

// Each row is a mail to an address for reports, tls@example.test, where no mailbox exists but anna's.
func TestReportsEndHereAndNothingElseDoes(t *testing.T) {
	for _, c := range []struct {
		name, to, body, answer, queued string
		kept                           int
		change                         func(w *world, c *intake.Config)
	}{
		{name: "a report", to: "TLS@Example.test", body: "report", answer: "250 2.0.0 Ok: the report is kept", kept: 1},
		{name: "a report to somebody else too", to: "tls@example.test anna@example.test", body: "report", answer: "250 2.0.0 Ok: queued", queued: "anna@example.test", kept: 1},
		{name: "a letter, and there is no such mailbox", to: "tls@example.test", body: "hello", answer: "550 5.1.1"},
		{name: "a letter, and there is a mailbox", to: "tls@example.test", body: "hello", answer: "250 2.0.0 Ok: queued", queued: "tls@example.test",
			change: func(_ *world, c *intake.Config) { c.Recipients = nil }},
		{name: "a letter to somebody else too", to: "tls@example.test anna@example.test", body: "hello", answer: "250 2.0.0 Ok: queued", queued: "tls@example.test anna@example.test"},
		{name: "others are read just now", to: "tls@example.test", body: "busy report", answer: "451 4.3.2"},
		{name: "a report to another address", to: "anna@example.test", body: "report", answer: "250 2.0.0 Ok: queued", queued: "anna@example.test"},
		{name: "the queue is broken, and the report has nobody else", to: "tls@example.test", body: "report", answer: "250", kept: 1,
			change: func(w *world, _ *intake.Config) { w.store.accept = context.DeadlineExceeded }},
		{name: "the queue is broken, and somebody else waits for it", to: "tls@example.test anna@example.test", body: "report", answer: "451", kept: 1,
			change: func(w *world, _ *intake.Config) { w.store.accept = context.DeadlineExceeded }},
		{name: "no memory to read it", to: "tls@example.test", body: "report", answer: "452 4.3.1",
			change: func(_ *world, c *intake.Config) { c.Memory = smtpserver.NewMemory(20) }},
		{name: "larger than any report", to: "tls@example.test anna@example.test", body: strings.Repeat(strings.Repeat("x", 70)+"report\r\n", 250_000), answer: "250 2.0.0 Ok: queued", queued: "tls@example.test anna@example.test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, b := newWorld(t, "", ""), &box{}
				w.reload(func(cfg *intake.Config) {
					cfg.ReportsTo, cfg.Reports = []mail.Address{mail.MustAddress("tls@example.test")}, b.take
					cfg.Recipients = func(_ context.Context, to mail.Address, _ func()) *smtp.Reply {
						if to.Local == "anna" {
							return nil
						}
						return &smtp.Reply{Code: 550, Status: "5.1.1", Lines: []string{"nobody"}}
					}
					if c.change != nil {
						c.change(w, cfg)
					}
				})
				nc := w.dial("198.51.100.7") // in plaintext: it may be what is reported
				r := bufio.NewReader(nc)
				say := func(line string) string {
					t.Helper()
					if line != "" {
						if _, err := nc.Write([]byte(line + "\r\n")); err != nil {
							t.Fatal(err)
						}
					}
					for {
						line, err := r.ReadString('\n')
						if err != nil || len(line) < 4 || line[3] == ' ' {
							return strings.TrimSpace(line)
						}
					}
				}
				say("")
				say("EHLO reporter.test")
				say("MAIL FROM:<>")
				for to := range strings.FieldsSeq(c.to) {
					if got := say("RCPT TO:<" + to + ">"); !strings.HasPrefix(got, "250") {
						t.Fatal(to, got)
					}
				}
				say("DATA")
				if got := say("From: a@sender.test\r\nSubject: x\r\n\r\n" + c.body + "\r\n."); !strings.HasPrefix(got, c.answer) {
					t.Errorf("%q, want %q", got, c.answer)
				}
				say("QUIT")
				_ = nc.Close()
				w.close()
				var queued []string
				for _, line := range strings.Split(w.queued(), "\n") {
					if f := strings.Fields(line); len(f) > 1 {
						queued = append(queued, f[1])
					}
				}
				if got := strings.Join(queued, " "); got != c.queued || len(b.kept) != c.kept {
					t.Errorf("queued %q, kept %d; want %q, %d", got, len(b.kept), c.queued, c.kept)
				}
				for _, text := range b.kept {
					if !strings.HasPrefix(text, "From: a@sender.test\r\n") {
						t.Errorf("kept is %q", text)
					}
				}
			})
		})
	}
}

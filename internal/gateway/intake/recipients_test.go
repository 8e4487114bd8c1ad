package intake_test

import (
	"bufio"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/intake"
	"postern/internal/mail"
	"postern/internal/smtp"
)

// asked notes who is asked about; nobody@ is refused, and slow@ takes five minutes.
func (w *world) asked(asked *[]string) {
	w.reload(func(c *intake.Config) {
		c.Recipients = func(_ context.Context, to mail.Address, slow func()) *smtp.Reply {
			*asked = append(*asked, to.String())
			if to.Local == "slow" {
				slow()
				time.Sleep(5 * time.Minute)
			}
			if to.Local == "nobody" {
				return &smtp.Reply{Code: 550, Status: "5.1.1", Lines: []string{"nobody"}}
			}
			return nil
		}
	})
}

func TestRecipientsOfServedDomainsAreAskedAbout(t *testing.T) {
	for _, from := range []string{"198.51.100.7", "10.1.2.3"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "postmaster", "")
			var asked []string
			w.asked(&asked)
			nc := w.dial(from)
			r := bufio.NewReader(nc)
			read := func() string {
				for {
					line, err := r.ReadString('\n')
					if err != nil || len(line) < 4 || line[3] == ' ' {
						return strings.TrimSpace(line)
					}
				}
			}
			say := func(line, want string) {
				t.Helper()
				if _, err := nc.Write([]byte(line + "\r\n")); err != nil {
					t.Fatal(err)
				}
				if got := read(); !strings.HasPrefix(got, want) {
					t.Errorf("%s: %q, want %s", line, got, want)
				}
			}
			read()
			say("EHLO client.test", "250")
			say("MAIL FROM:<a@world.test>", "250")
			say("RCPT TO:<nobody@example.test>", "550 5.1.1 nobody")
			say("DATA", "554")
			say("RCPT TO:<anna@example.test>", "250")
			say("RCPT TO:<anna@example.test>", "250") // the same again
			say("RCPT TO:<postmaster>", "250")        // the gateway's own, which is admin@example.test
			if from == "10.1.2.3" {
				say("RCPT TO:<nobody@elsewhere.test>", "250")
			} else {
				say("RCPT TO:<nobody@elsewhere.test>", "550 5.7.1")
				say("RCPT TO:<x%y.test@example.test>", "550 5.7.1")
			}
			if got := strings.Join(asked, " "); got != "nobody@example.test anna@example.test admin@example.test" {
				t.Errorf("from %s: asked about %s", from, got)
			}
			say("QUIT", "221")
			nc.Close()
			w.close()
			if events := strings.Join(w.events, "\n"); !strings.Contains(events, "refused RCPT <a@world.test> <nobody@example.test> 550 5.1.1") {
				t.Errorf("events:\n%s", events)
			}
		})
	}
}

// A client that sends many commands at once hears what is decided before it waits for what takes time.
func TestRepliesDoNotWaitForASlowQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "", "")
		var asked []string
		w.asked(&asked)
		nc := w.dial("198.51.100.7")
		r := bufio.NewReader(nc)
		start := time.Now()
		if _, err := nc.Write([]byte("HELO client.test\r\nMAIL FROM:<a@world.test>\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<slow@example.test>\r\nQUIT\r\n")); err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"220", "250", "250", "550", "250", "221"} {
			line, err := r.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, want) {
				t.Fatalf("reply %d: %q, %v", i, line, err)
			}
			if took := time.Since(start); (i < 4) != (took < time.Minute) {
				t.Errorf("reply %d (%s) after %v", i, want, took)
			}
		}
		nc.Close()
		w.close()
	})
}

package smtpserver_test

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/emersion/go-smtp"

	"postern/internal/smtp/smtpserver"
)

// TestAnIndependentClientIsServed lets somebody else's client library do a session: STARTTLS, DSN parameters, 8-bit
// content with dots, several messages.
func TestAnIndependentClientIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		c, err := smtp.NewClientStartTLS(w.dial("198.51.100.7"), &tls.Config{RootCAs: w.ca.Pool(), ServerName: "gw.test"})
		if err != nil {
			t.Fatal(err)
		}
		for _, ext := range []string{"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES", "DSN"} {
			if ok, _ := c.Extension(ext); !ok {
				t.Errorf("%s was not seen", ext)
			}
		}
		if size, ok := c.MaxMessageSize(); !ok || size != 150_000_000 {
			t.Errorf("size limit %d", size)
		}
		for range 2 {
			if err := send(c); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.Quit() // we close first, so its close_notify may find nobody
		w.close()
		want := `ESMTPS helo=localhost from=<a@c.test> to=<b@gw.test notify=2 orcpt=RFC822;b@gw.test> body=8BITMIME utf8=false ret=HDRS envid=e+2B1 size=17 8bit "Subject: ü\r\n\r\n.\r\n"`
		if got := w.rec.lines(); got != want+"\n"+want {
			t.Errorf("the session was told\n%s\nwant twice\n%s", got, want)
		}
	})
}

func send(c *smtp.Client) error {
	err := c.Mail("a@c.test", &smtp.MailOptions{Body: smtp.Body8BitMIME, Size: 17, Return: smtp.DSNReturnHeaders, EnvelopeID: "e+1"})
	if err != nil {
		return err
	}
	err = c.Rcpt("b@gw.test", &smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifySuccess},
		OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "b@gw.test"})
	if err != nil {
		return err
	}
	content, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := content.Write([]byte("Subject: ü\r\n\r\n.\r\n")); err != nil {
		return err
	}
	return content.Close()
}

func TestALargeMessageStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(cfg *smtpserver.Config) { cfg.Limits.MessageSize = 10_000_000 })
		nc := w.dial("198.51.100.7")
		go func() {
			body := bytes.Repeat([]byte(strings.Repeat("x", 98)+"\r\n"), 100_000)
			nc.Write([]byte("EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@gw.test>\r\nDATA\r\n"))
			nc.Write(body)
			nc.Write([]byte(".\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@gw.test>\r\nDATA\r\n"))
			nc.Write(body)
			nc.Write([]byte("\r\n.\r\nQUIT\r\n"))
		}()
		got := readAll(nc)
		nc.Close()
		w.close()
		if !strings.Contains(got, "250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 ") || !strings.Contains(got, "552 5.3.4 ") || !strings.HasSuffix(got, "221 2.0.0 bye\r\n") {
			t.Errorf("got %q", got)
		}
		if told := w.rec.lines(); !strings.Contains(told, "10000000 octets") || !strings.Contains(told, "aborted the message is over the size limit") {
			t.Errorf("the session was told %s", told)
		}
	})
}

package smtpserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/memnet"
	"postern/internal/smtp/smtpserver"
)

// FuzzSession throws a whole conversation at the engine, at once and in pieces. It must end without a panic or a
// goroutine left, and pieces must not change what the Session is told.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@gw.test>\r\nDATA\r\n..x\r\n.\r\nQUIT\r\n",
		"EHLO c.test\r\nMAIL FROM:<a@c.test> SIZE=5 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=x\r\nRCPT TO:<b@gw.test> NOTIFY=NEVER\r\nBDAT 4\r\nab\r\nBDAT 1 LAST\r\nx",
		"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nDATA\r\nx\n.\nMAIL FROM:<s@c.test>\r\n.\r\n",
		"EHLO c\r\nSTARTTLS\r\n\x16\x03\x01\x00\x05hello",
		"EHLO c\r\nAUTH PLAIN AHVzZXIAc2VjcmV0\r\nAUTH LOGIN\r\n*\r\n",
		"EHLO c\r\nMAIL FROM:<full@c>\r\nRCPT TO:<b@c>\r\nBDAT 3\r\nabcBDAT 2\r\nxyRSET\r\nBDAT 9 LAST\r\n",
		"EHLO c\r\nMAIL FROM:<half@c>\r\nRCPT TO:<b@c>\r\nDATA\r\n\r\n.\r\r\n.\r\nVRFY x\r\nHELP\r\nEXPN\r\nNOOP\r\n\x00\r\n",
	} {
		f.Add([]byte(s), uint8(3))
	}
	cert := pki.New(time.Now(), "Test").Issue(pki.Options{Names: []string{"gw.test"}}).TLS
	f.Fuzz(func(t *testing.T, input []byte, step uint8) {
		if len(input) > 4000 {
			return
		}
		var whole, pieces string
		synctest.Test(t, func(t *testing.T) { whole = converse(t, cert, input, len(input)+1) })
		synctest.Test(t, func(t *testing.T) { pieces = converse(t, cert, input, int(step)+1) })
		if whole != pieces && !bytes.Contains(bytes.ToUpper(input), []byte("STARTTLS")) {
			t.Errorf("at once the session was told\n%s\nin pieces\n%s", whole, pieces)
		}
	})
}

func converse(t *testing.T, cert tls.Certificate, input []byte, step int) string {
	rec := &recorder{}
	srv, err := smtpserver.New(smtpserver.Config{
		Hostname: "gw.test", NewSession: rec.open, Auth: true, TLS: &tls.Config{Certificates: []tls.Certificate{cert}},
		Limits: smtpserver.Limits{MessageSize: 500, Recipients: 3, BadCommands: 5},
	})
	if err != nil {
		t.Fatal(err)
	}
	n := memnet.New()
	l, _ := n.Listen(at)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	nc, err := n.Dialer("198.51.100.7").DialContext(context.Background(), "tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	for len(input) > 0 {
		k := min(step, len(input))
		if _, err := nc.Write(input[:k]); err != nil {
			break
		}
		input = input[k:]
		synctest.Wait()
	}
	nc.(*memnet.Conn).CloseWrite()
	readAll(nc)
	nc.Close()
	srv.Shutdown(context.Background())
	if err := <-done; err != nil {
		t.Error(err)
	}
	if rec.opened != rec.closed {
		t.Errorf("%d sessions opened, %d closed", rec.opened, rec.closed)
	}
	return rec.lines()
}

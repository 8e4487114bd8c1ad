package smtpclient_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"postern/internal/mail"
	"postern/internal/smtp/smtpclient"
)

// recorder is the back of an independent SMTP server: it keeps what arrived.
type recorder struct {
	mail gosmtp.MailOptions
	from string
	to   []string
	rcpt []gosmtp.RcptOptions
	got  chan string
	n    int // recipients of the last content
}

func (r *recorder) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return r, nil }
func (r *recorder) Reset()                                          { r.to, r.rcpt = nil, nil }
func (r *recorder) Logout() error                                   { return nil }

func (r *recorder) Mail(from string, opts *gosmtp.MailOptions) error {
	r.from, r.mail = from, *opts
	return nil
}

func (r *recorder) Rcpt(to string, opts *gosmtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody@") {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	r.to, r.rcpt = append(r.to, to), append(r.rcpt, *opts)
	return nil
}

func (r *recorder) Data(body io.Reader) error {
	content, err := io.ReadAll(body)
	if err == nil {
		r.n = len(r.to)
		r.got <- string(content)
	}
	return err
}

// startPeer runs go-smtp on loopback and returns a connection to it.
func startPeer(t *testing.T, r *recorder) net.Conn {
	t.Helper()
	server := gosmtp.NewServer(r)
	server.Domain, server.EnableDSN, server.EnableSMTPUTF8, server.MaxRecipients = "peer.test", true, true, 2000
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{testCertificate()}}
	server.ReadTimeout, server.WriteTimeout = 10*time.Second, 10*time.Second
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// masking hides a keyword of the peer, of the same length, so that the engine must do without it.
type masking struct {
	net.Conn
	hide, show string
}

func (m masking) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	copy(p, bytes.ReplaceAll(p[:n], []byte(m.hide), []byte(m.show)))
	return n, err
}

func open(t *testing.T, nc net.Conn, withTLS bool) *smtpclient.Conn {
	t.Helper()
	ctx := context.Background()
	c := smtpclient.New(nc, smtpclient.Config{Hello: "gw.test"})
	t.Cleanup(func() { c.Close() })
	greet(t, c)
	if !withTLS {
		return c
	}
	state, err := c.StartTLS(ctx, &tls.Config{InsecureSkipVerify: true, ServerName: "mx.test"})
	if err != nil || !state.HandshakeComplete || len(state.PeerCertificates) != 1 {
		t.Fatalf("STARTTLS: %+v, %v", state, err)
	}
	if err := c.Hello(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAnIndependentServerGetsWhatWasSent sends contents of many sizes to go-smtp, by DATA and by BDAT, in the clear and
// inside TLS.
func TestAnIndependentServerGetsWhatWasSent(t *testing.T) {
	for _, c := range []struct {
		name     string
		nc       func(net.Conn) net.Conn
		tls      bool
		chunking bool
	}{
		{"BDAT in TLS", func(nc net.Conn) net.Conn { return nc }, true, true},
		{"BDAT", func(nc net.Conn) net.Conn { return nc }, false, true},
		{"DATA", func(nc net.Conn) net.Conn { return masking{nc, "CHUNKING", "CHUNKERS"} }, false, false},
		{"DATA in lockstep", func(nc net.Conn) net.Conn {
			return masking{masking{nc, "CHUNKING", "CHUNKERS"}, "PIPELINING", "PIPEDREAMS"}
		}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &recorder{got: make(chan string, 1)}
			conn := open(t, c.nc(startPeer(t, r)), c.tls)
			if got := conn.Extensions().Chunking; got != c.chunking {
				t.Fatalf("CHUNKING is %v", got)
			}
			for _, size := range []int{0, 1, 3, 100, 1000, 32768, 65536, 65537, 200000} {
				sendOne(t, conn, r, size)
			}
			conn.Quit(t.Context())
		})
	}
}

func sendOne(t *testing.T, conn *smtpclient.Conn, r *recorder, size int) {
	t.Helper()
	content := strings.Repeat(".\r\n..dots\r\nand text\r\n", size/20+1)[:size]
	content = strings.TrimRight(content, "\r\n")
	if size > 0 {
		content += "\r\n"
	}
	tr := &smtpclient.Transaction{Body: strings.NewReader(content), Size: int64(len(content)),
		Envelope: mail.Envelope{From: mail.MustAddress("s@here.test"), Ret: mail.ReturnHeaders, EnvID: "id+2B1"},
		Recipients: []mail.Recipient{
			{Address: mail.MustAddress("a@x.test"), Notify: mail.NotifyFailure | mail.NotifySuccess, ORCPT: "rfc822;o+2Bo@x.test"},
			{Address: mail.MustAddress("nobody@x.test")}, {Address: mail.MustAddress("b@x.test"), Notify: mail.NotifyNever}}}
	res, err := conn.Send(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := fmt.Sprint(res.Recipients[0].Outcome, res.Recipients[1].Outcome, res.Recipients[2].Outcome)
	if outcomes != "delivered failed delivered" || !res.DSN || res.Recipients[1].Reply.Status != "5.1.1" {
		t.Fatalf("%s, %+v", outcomes, res)
	}
	if got := <-r.got; strings.ReplaceAll(got, "\r\n", "\n") != strings.ReplaceAll(content, "\r\n", "\n") {
		t.Fatalf("size %d: %d octets arrived: %.60q", size, len(got), got)
	}
	if r.from != "s@here.test" || r.mail.Return != gosmtp.DSNReturnHeaders || r.mail.EnvelopeID != "id+1" {
		t.Fatalf("MAIL: %q %+v", r.from, r.mail)
	}
}

// TestAThousandRecipientsArePipelinedInGroups would hang if replies were not read between the groups.
func TestAThousandRecipientsArePipelinedInGroups(t *testing.T) {
	r := &recorder{got: make(chan string, 1)}
	conn := open(t, startPeer(t, r), true)
	tr := &smtpclient.Transaction{Body: strings.NewReader("hello\r\n"), Envelope: mail.Envelope{From: mail.MustAddress("s@here.test")}}
	for i := range 1000 {
		tr.Recipients = append(tr.Recipients, mail.Recipient{Address: mail.MustAddress(fmt.Sprintf("r%d@x.test", i))})
	}
	res, err := conn.Send(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	for i, rr := range res.Recipients {
		if rr.Outcome != smtpclient.Delivered {
			t.Fatalf("recipient %d: %+v", i, rr)
		}
	}
	if <-r.got; r.n != 1000 {
		t.Fatalf("%d recipients arrived", r.n)
	}
}

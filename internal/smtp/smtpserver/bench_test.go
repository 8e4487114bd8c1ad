package smtpserver_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"postern/internal/mail"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
)

// null takes everything and keeps nothing.
type null struct{ buf [32 << 10]byte }

func (*null) Auth(context.Context, string, string) *smtp.Reply       { return nil }
func (*null) Mail(context.Context, mail.Envelope, int64) *smtp.Reply { return nil }
func (*null) Rcpt(context.Context, mail.Recipient) *smtp.Reply       { return nil }
func (*null) Reset()                                                 {}
func (*null) Close()                                                 {}
func (n *null) Data(_ context.Context, c *smtpserver.Content) *smtp.Reply {
	for {
		if _, err := c.Read(n.buf[:]); err != nil {
			return nil
		}
	}
}

// BenchmarkMessages receives pipelined messages of 4 KiB over loopback.
func BenchmarkMessages(b *testing.B) {
	srv, err := smtpserver.New(smtpserver.Config{Hostname: "gw.test", NewSession: func(context.Context, *smtpserver.Conn) (smtpserver.Session, *smtp.Reply) {
		return &null{}, nil
	}})
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Shutdown(context.Background())
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	in := bufio.NewReader(nc)
	io.WriteString(nc, "HELO c.test\r\n")
	in.ReadString('\n')
	in.ReadString('\n')
	message := []byte("MAIL FROM:<a@c.test>\r\nRCPT TO:<b@gw.test>\r\nDATA\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 57) + ".\r\n")
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		nc.Write(message)
		for range 4 {
			if line, err := in.ReadSlice('\n'); err != nil || line[0] > '3' {
				b.Fatal(string(line), err)
			}
		}
	}
}

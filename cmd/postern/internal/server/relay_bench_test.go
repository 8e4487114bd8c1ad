package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/cmd/postern/internal/confcheck"
	"postern/internal/config"
	"postern/internal/event"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpclient"
	"postern/internal/smtp/smtpserver"
)

// sink takes mail and forgets it.
type sink struct{ got atomic.Int64 }

func (*sink) Auth(context.Context, string, string) *smtp.Reply { return nil }

func (*sink) Mail(context.Context, mail.Envelope, int64) *smtp.Reply { return nil }

func (*sink) Rcpt(context.Context, mail.Recipient) *smtp.Reply { return nil }

func (*sink) Reset() {}

func (*sink) Close() {}

func (s *sink) Data(_ context.Context, c *smtpserver.Content) *smtp.Reply {
	if _, err := io.Copy(io.Discard, c); err == nil {
		s.got.Add(1)
	}
	return nil
}

// BenchmarkRelay measures one message of 4 KiB through the whole gateway, TLS on both hops, durable in between; source,
// gateway and sink share the process. Look at the ratio of two runs, never at the time of one.
func BenchmarkRelay(b *testing.B) {
	ca := pki.New(time.Now(), "Bench CA")
	s := &sink{}
	server, err := smtpserver.New(smtpserver.Config{
		Hostname: "mx.partner.test", TLS: &tls.Config{Certificates: []tls.Certificate{ca.Issue(pki.Options{Names: []string{"mx.partner.test"}}).TLS}},
		Gate:       smtpserver.NewGate(-1, -1, nil),
		NewSession: func(context.Context, *smtpserver.Conn) (smtpserver.Session, *smtp.Reply) { return s, nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go server.Serve(l)
	defer server.Close()

	dir := b.TempDir()
	own := ca.Issue(pki.Options{Names: []string{"gw.example.test"}})
	for name, content := range map[string][]byte{"ca.pem": ca.RootPEM(), "gw.pem": own.CertPEM, "gw.key": own.KeyPEM,
		"postern.toml": fmt.Appendf(nil, `hostname = "gw.example.test"
data = "data"
[[listen]]
name = "world"
address = "127.0.0.1:0"
[tls]
certificates = [{ cert = "gw.pem", key = "gw.key" }]
[relay]
networks = ["127.0.0.0/8"]
[[route]]
match = ["*"]
to = ["%s"]
[trust]
roots = "ca.pem"
[admin]
listen = ""
`, l.Addr())} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "postern.toml"))
	if err != nil {
		b.Fatal(err)
	}
	address := opened(make(chan string, 1))
	files, err := confcheck.Examine(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	g, err := New(ctx, cfg, files, &net.Dialer{}, slog.New(slog.NewTextHandler(io.Discard, nil)), address)
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx, nil) }()
	at := <-address
	defer func() {
		stop()
		<-ended
		g.Close()
	}()

	text := "Subject: bench\r\n\r\n" + strings.Repeat(strings.Repeat("x", 62)+"\r\n", 64)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var sources sync.WaitGroup
	for range 32 {
		sources.Go(func() {
			for left.Load() > 0 {
				if err := tenMessages(ctx, at, text, &left); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	sources.Wait()
	for s.got.Load() < int64(b.N) {
		time.Sleep(time.Millisecond)
	}
}

// opened is a sink that catches where the gateway listens.
type opened chan string

// Emit passes on the address.
func (o opened) Emit(e event.Event) {
	if s, ok := e.(event.Started); ok {
		o <- s.Address
	}
}

// tenMessages sends up to ten over one connection.
func tenMessages(ctx context.Context, at, text string, left *atomic.Int64) error {
	nc, err := net.Dial("tcp", at)
	if err != nil {
		return err
	}
	c := smtpclient.New(nc, smtpclient.Config{Hello: "source.test"})
	defer c.Close()
	if _, err := c.Greet(ctx); err != nil {
		return err
	}
	if err := c.Hello(ctx); err != nil {
		return err
	}
	if _, err := c.StartTLS(ctx, &tls.Config{InsecureSkipVerify: true}); err != nil {
		return err
	}
	if err := c.Hello(ctx); err != nil {
		return err
	}
	for range 10 {
		if left.Add(-1) < 0 {
			break
		}
		if _, err := c.Send(ctx, &smtpclient.Transaction{
			Envelope:   mail.Envelope{From: mail.MustAddress("a@example.test")},
			Recipients: []mail.Recipient{{Address: mail.MustAddress("b@partner.test")}}, Body: strings.NewReader(text),
		}); err != nil {
			return err
		}
	}
	c.Quit(ctx)
	return nil
}

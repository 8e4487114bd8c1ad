package smtpclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	"postern/internal/policy"
	"postern/internal/smtp/smtpclient"
)

// TestAHandshakeFailureAfterACipherWasChosenIsNoLackOfOne: OpenSSL answers a client without the certificate it insists
// on by the alert handshake_failure, in TLS 1.2 after cipher and certificate were agreed on.
func TestAHandshakeFailureAfterACipherWasChosenIsNoLackOfOne(t *testing.T) {
	for name, c := range map[string]struct {
		server *tls.Config
		early  bool // the alert comes instead of a ServerHello
		want   policy.Reason
	}{
		"before the choice": {early: true, want: policy.TLSNoSharedCipher},
		"after the choice":  {server: &tls.Config{Certificates: []tls.Certificate{testCertificate()}, MaxVersion: tls.VersionTLS12}, want: policy.TLSAlert},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			defer nc.Close()
			for _, line := range []string{"220 x\r\n", "250-x\r\n250 STARTTLS\r\n", "220 go\r\n"} {
				io.WriteString(nc, line)
				if line != "220 go\r\n" {
					nc.Read(make([]byte, 100))
				}
			}
			if !c.early {
				_ = tls.Server(&cutter{Conn: nc}, c.server).Handshake()
			} else {
				nc.Read(make([]byte, 4096))
			}
			nc.Write([]byte{21, 3, 3, 0, 2, 2, 40})
			io.Copy(io.Discard, nc)
		}()
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn := smtpclient.New(nc, smtpclient.Config{})
		greet(t, conn)
		_, err = conn.StartTLS(context.Background(), &tls.Config{InsecureSkipVerify: true})
		if e, ok := errors.AsType[*smtpclient.Error](err); !ok || e.Reason != c.want || e.Alert != "handshake_failure (sent by peer)" {
			t.Errorf("%s: %+v", name, err)
		}
		conn.Close()
	}
}

// cutter ends a handshake at the second flight of the client.
type cutter struct {
	net.Conn
	wrote bool
}

// Write notes that the server spoke.
func (c *cutter) Write(p []byte) (int, error) {
	c.wrote = true
	return c.Conn.Write(p)
}

// Read gives nothing more once the server spoke.
func (c *cutter) Read(p []byte) (int, error) {
	if c.wrote {
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}

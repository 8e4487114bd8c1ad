package smtpclient_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/lab/testkit/memnet"
	"postern/internal/policy"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpclient"
)

// TestARejectedClientCertificateIsToldOverRealTCP: on a real network the peer's alert races with our EHLO. However it
// ends, it is the handshake that failed, and one try without the certificate is due (traps 14 and 26).
func TestARejectedClientCertificateIsToldOverRealTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				for _, line := range []string{"220 x\r\n", "250-x\r\n250 STARTTLS\r\n", "220 go\r\n"} {
					io.WriteString(nc, line)
					if line != "220 go\r\n" {
						nc.Read(make([]byte, 100))
					}
				}
				tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{testCertificate()},
					ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}).Handshake()
			}()
		}
	}()
	for range 20 {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c := smtpclient.New(nc, smtpclient.Config{})
		greet(t, c)
		tc := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{testCertificate()}}
		if _, err = c.StartTLS(context.Background(), tc); err == nil {
			err = c.Hello(context.Background())
		}
		var e *smtpclient.Error
		if !errors.As(err, &e) || e.Kind != smtpclient.Handshake || !e.ClientCertificate ||
			e.Reason != policy.TLSAlert && e.Reason != policy.TLSClosed {
			t.Fatalf("%+v", err)
		}
		c.Close()
	}
}

// TestAResumedSessionTellsTheSameFacts: resumption works through the engine's own copy of the configuration, says so,
// and still shows the peer's certificate, so that it can be examined again.
func TestAResumedSessionTellsTheSameFacts(t *testing.T) {
	r := &recorder{got: make(chan string, 1)}
	cache := tls.NewLRUClientSessionCache(1)
	nc := startPeer(t, r)
	for i := range 2 {
		if i > 0 {
			var err error
			if nc, err = net.Dial("tcp", nc.RemoteAddr().String()); err != nil {
				t.Fatal(err)
			}
		}
		c := smtpclient.New(nc, smtpclient.Config{})
		greet(t, c)
		tc := &tls.Config{InsecureSkipVerify: true, ServerName: "mx.test", ClientSessionCache: cache}
		state, err := c.StartTLS(t.Context(), tc)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Hello(t.Context()); err != nil {
			t.Fatal(err)
		}
		facts := smtp.Facts(c.TLS(), "")
		if state.DidResume != (i == 1) || facts.Resumed != (i == 1) || len(state.PeerCertificates) != 1 ||
			facts.Signature != "ECDSA" || facts.Version != "TLSv1.3" || facts.Group == "" || facts.ServerName != "mx.test" {
			t.Errorf("connection %d: %+v", i+1, facts)
		}
		c.Quit(t.Context())
	}
}

// TestTheHandshakeEndsWithTheBudget: a context's deadline shorter than the handshake's own limit wins.
func TestTheHandshakeEndsWithTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := memnet.Pipe()
		defer server.Close()
		go func() {
			for _, line := range []string{"220 x\r\n", "250-x\r\n250 STARTTLS\r\n", "220 go\r\n"} {
				io.WriteString(server, line)
				server.Read(make([]byte, 100))
			}
		}()
		c := smtpclient.New(client, smtpclient.Config{Timeouts: smtpclient.Timeouts{Handshake: 20 * time.Second}})
		defer c.Close()
		greet(t, c)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := c.StartTLS(ctx, &tls.Config{InsecureSkipVerify: true})
		var e *smtpclient.Error
		if !errors.As(err, &e) || e.Reason != policy.TLSTimeout || time.Since(start) != 10*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

package smtpserver_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/memnet"
	"postern/internal/mail"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
	"postern/internal/smtp/tlsprobe"
)

// readAll reads to the end of the connection, which must come within an hour.
func readAll(nc net.Conn) string {
	nc.SetReadDeadline(time.Now().Add(time.Hour))
	b, _ := io.ReadAll(nc)
	return string(b)
}

func firstLine(nc net.Conn) string {
	nc.SetReadDeadline(time.Now().Add(time.Hour))
	line, _ := bufio.NewReader(nc).ReadString('\n')
	return line
}

func TestConnectionsAreLimitedPerClientAndInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var rejected []string
		w := newWorld(t, func(cfg *smtpserver.Config) {
			cfg.Gate = smtpserver.NewGate(3, 2, nil)
			cfg.Trace.Rejected = func(c netip.AddrPort, text string) {
				mu.Lock()
				defer mu.Unlock()
				rejected = append(rejected, c.Addr().String()+" "+text[:9])
			}
		})
		a, b := w.dial("2001:db8::1"), w.dial("2001:db8::2") // one /64
		if firstLine(a)[:3] != "220" || firstLine(b)[:3] != "220" {
			t.Fatal("two of one client were not served")
		}
		if got := firstLine(w.dial("2001:db8::3")); !strings.HasPrefix(got, "421 4.7.0 ") {
			t.Errorf("third of one client: %q", got)
		}
		c := w.dial("2001:db8:0:1::1")
		if got := firstLine(c); !strings.HasPrefix(got, "220") {
			t.Errorf("another client: %q", got)
		}
		if got := firstLine(w.dial("198.51.100.1")); !strings.HasPrefix(got, "421 4.3.2 ") {
			t.Errorf("over the total: %q", got)
		}
		a.Close()
		synctest.Wait()
		if got := firstLine(w.dial("2001:db8::3")); !strings.HasPrefix(got, "220") {
			t.Errorf("after one left: %q", got)
		}
		b.Close()
		c.Close()
		w.close()
		if want := "[2001:db8::3 421 4.7.0 198.51.100.1 421 4.3.2]"; fmt.Sprint(rejected) != want {
			t.Errorf("rejected %v, want %v", rejected, want)
		}
	})
}

// A house full of clients that say nothing makes room: an honest client is served at its next try, and a session that
// works, or is inside a transaction, goes on.
func TestAFullHouseEndsIdleSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := smtpserver.NewGate(20, -1, nil)
		w := newWorld(t, func(cfg *smtpserver.Config) { cfg.Gate = gate })
		busy := w.dial("198.51.100.2")
		io.WriteString(busy, "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\n")
		active := w.dial("198.51.100.4")
		var idle []net.Conn
		for range 18 {
			idle = append(idle, w.dial("198.51.100.3"))
		}
		time.Sleep(8 * time.Second)
		io.WriteString(active, "NOOP\r\n")
		if got := firstLine(w.dial("198.51.100.1")); !strings.HasPrefix(got, "421 4.3.2") {
			t.Errorf("while all are young: %q", got)
		}
		io.WriteString(idle[0], "N") // a letter is no command
		time.Sleep(3 * time.Second)
		if got := firstLine(w.dial("198.51.100.1")); !strings.HasPrefix(got, "421 4.3.2") {
			t.Errorf("the one that made room: %q", got)
		}
		synctest.Wait()
		for i, nc := range idle {
			if got := readAll(nc); !strings.HasSuffix(got, "\r\n421 4.3.2 gw.test too busy to wait for you, try again later\r\n") {
				t.Errorf("idle client %d heard %q", i, got)
			}
			nc.Close()
		}
		synctest.Wait()
		honest := w.dial("198.51.100.1")
		if got := firstLine(honest); !strings.HasPrefix(got, "220 ") {
			t.Errorf("the honest client: %q", got)
		}
		for _, nc := range []net.Conn{busy, active, honest} {
			io.WriteString(nc, "QUIT\r\n")
			if got := readAll(nc); !strings.HasSuffix(got, "221 2.0.0 bye\r\n") {
				t.Errorf("a client that is not idle: %q", got)
			}
			nc.Close()
		}
		w.close()
	})
}

func TestShutdownSays421ToTheIdleAndWaitsForTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		idle, busy := w.dial("198.51.100.1"), w.dial("198.51.100.2")
		io.WriteString(busy, "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@gw.test>\r\nDATA\r\none\r\n")
		synctest.Wait()
		done := make(chan struct{})
		go func() { w.close(); close(done) }()
		if got := readAll(idle); !strings.HasPrefix(got, "220 ") || !strings.HasSuffix(got, "\r\n421 4.3.2 gw.test shutting down\r\n") {
			t.Errorf("idle client heard %q", got)
		}
		idle.Close()
		if _, err := w.net.Dialer("198.51.100.3").DialContext(context.Background(), "tcp", at); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a new client: %v", err)
		}
		time.Sleep(time.Minute)
		io.WriteString(busy, "two\r\n.\r\n")
		if got := readAll(busy); !strings.HasSuffix(got, "250 2.0.0 Ok\r\n421 4.3.2 gw.test shutting down\r\n") {
			t.Errorf("busy client heard %q", got)
		}
		busy.Close()
		<-done
		if got := w.rec.lines(); !strings.Contains(got, `"one\r\ntwo\r\n"`) {
			t.Errorf("the session was told %q", got)
		}
	})
}

func TestShutdownCutsWhatDoesNotEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		busy := w.dial("198.51.100.2")
		io.WriteString(busy, "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\n")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		start := time.Now()
		if err := w.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		<-w.done
	})
}

func TestAcceptBacksOffWithoutFileDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pauses []time.Duration
		rec := &recorder{}
		srv, err := smtpserver.New(smtpserver.Config{Hostname: "gw.test", NewSession: rec.open, Trace: smtpserver.Trace{
			AcceptFailed: func(_ error, wait time.Duration) { pauses = append(pauses, wait) },
		}})
		if err != nil {
			t.Fatal(err)
		}
		n := memnet.New()
		inner, _ := n.Listen(at)
		l := &flaky{Listener: inner, failures: 12}
		done := make(chan error)
		go func() { done <- srv.Serve(l) }()
		nc, err := n.Dialer("198.51.100.1").DialContext(context.Background(), "tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		if got := firstLine(nc); !strings.HasPrefix(got, "220") {
			t.Errorf("got %q", got)
		}
		nc.Close()
		srv.Shutdown(context.Background())
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(pauses) != 12 || pauses[0] != 5*time.Millisecond || pauses[11] != time.Second {
			t.Errorf("pauses %v", pauses)
		}
	})
}

type flaky struct {
	net.Listener
	failures int
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.failures--; f.failures >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

func TestAClientCertificateIsRecordedWhateverItsUsage(t *testing.T) {
	for _, tc := range []struct {
		name      string
		eku       []x509.ExtKeyUsage
		present   bool
		trusted   bool
		wantState mail.ClientCertificate
	}{
		{"none sent", nil, false, true, mail.ClientCertificate{}},
		{"serverAuth only, as public CAs issue it", []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, true, true,
			mail.ClientCertificate{Presented: true, Verified: true}},
		{"unknown CA", []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, true, false, mail.ClientCertificate{Presented: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var info smtpserver.ConnInfo
				w := newWorld(t, func(cfg *smtpserver.Config) {
					cfg.TLS.ClientAuth = tls.RequestClientCert
					cfg.VerifyClient = func(chain []*x509.Certificate) bool { return tc.trusted && len(chain) > 0 }
					cfg.Trace.Disconnected = func(i smtpserver.ConnInfo, _ smtpserver.End) { info = i }
				})
				cfg := &tls.Config{RootCAs: w.ca.Pool(), ServerName: "gw.test"}
				if tc.present {
					cfg.Certificates = []tls.Certificate{w.ca.Issue(pki.Options{Names: []string{"client.test"}, EKU: tc.eku}).TLS}
				}
				nc := w.dial("198.51.100.1")
				io.WriteString(nc, "STARTTLS\r\n")
				buf := make([]byte, 1000)
				for got := ""; !strings.HasSuffix(got, "220 2.0.0 Ready to start TLS\r\n"); {
					n, err := nc.Read(buf)
					if err != nil {
						t.Fatal(err)
					}
					got += string(buf[:n])
				}
				tc2 := tls.Client(nc, cfg)
				io.WriteString(tc2, "EHLO c.test\r\nQUIT\r\n")
				if got := readAll(tc2); !strings.Contains(got, "221 ") {
					t.Errorf("got %q", got)
				}
				tc2.Close()
				w.close()
				got := *info.TLS.Client
				if got.Presented && (got.Subject == "" || got.Issuer == "" || len(got.SHA256) != 64 || len(info.ClientChain) == 0) {
					t.Errorf("facts are missing: %+v", got)
				}
				got.Subject, got.Issuer, got.SHA256 = "", "", ""
				if got != tc.wantState {
					t.Errorf("got %+v, want %+v", got, tc.wantState)
				}
			})
		})
	}
}

func TestTheCertificateIsChosenByServerNameAndStated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var infos []smtpserver.ConnInfo
		w := newWorld(t, func(cfg *smtpserver.Config) {
			cfg.Mode = smtpserver.SMTPS
			ca := pki.New(time.Now(), "Other")
			cfg.TLS.Certificates = append(cfg.TLS.Certificates, ca.Issue(pki.Options{Names: []string{"rsa.test"}, Key: pki.RSA2048}).TLS)
			cfg.Trace.Disconnected = func(i smtpserver.ConnInfo, _ smtpserver.End) { infos = append(infos, i) }
		})
		for _, name := range []string{"gw.test", "rsa.test", "unknown.test", ""} {
			tc := tls.Client(w.dial("198.51.100.1"), &tls.Config{ServerName: name, InsecureSkipVerify: true})
			io.WriteString(tc, "QUIT\r\n")
			if got := readAll(tc); !strings.HasPrefix(got, "220 ") {
				t.Errorf("%q: %q", name, got)
			}
			tc.Close()
			synctest.Wait()
		}
		w.close()
		var got []string
		for _, i := range infos {
			got = append(got, i.TLS.ServerName+" "+i.TLS.Version+" "+i.TLS.Cipher+" "+i.TLS.Group+" "+i.TLS.Signature)
		}
		want := "gw.test TLSv1.3 TLS_AES_128_GCM_SHA256 X25519MLKEM768 ECDSA\n" +
			"rsa.test TLSv1.3 TLS_AES_128_GCM_SHA256 X25519MLKEM768 RSA\n" +
			"unknown.test TLSv1.3 TLS_AES_128_GCM_SHA256 X25519MLKEM768 ECDSA\n" +
			" TLSv1.3 TLS_AES_128_GCM_SHA256 X25519MLKEM768 ECDSA"
		if s := strings.Join(got, "\n"); s != want {
			t.Errorf("got\n%s\nwant\n%s", s, want)
		}
	})
}

// ticketCounter is a client's memory of sessions that counts what it is given.
type ticketCounter struct{ given int }

func (c *ticketCounter) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (c *ticketCounter) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		c.given++
	}
}

func TestNoListenerGivesSessionTickets(t *testing.T) {
	for _, tc := range []struct {
		name     string
		mode     smtpserver.Mode
		implicit bool
	}{
		{"smtp", smtpserver.SMTP, false}, {"smtps", smtpserver.SMTPS, true},
		{"submission", smtpserver.Submission, false}, {"submission with TLS from the first octet", smtpserver.Submission, true},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(cfg *smtpserver.Config) { cfg.Mode, cfg.ImplicitTLS = tc.mode, tc.implicit })
				nc := w.dial("198.51.100.1")
				if !tc.implicit {
					io.WriteString(nc, "STARTTLS\r\n")
					in := bufio.NewReader(nc)
					in.ReadString('\n')
					in.ReadString('\n')
				}
				tickets := &ticketCounter{}
				c := tls.Client(nc, &tls.Config{RootCAs: w.ca.Pool(), ServerName: "gw.test", MaxVersion: version, ClientSessionCache: tickets})
				io.WriteString(c, "EHLO c.test\r\nQUIT\r\n")
				if got := readAll(c); !strings.Contains(got, "221 ") {
					t.Errorf("%s: got %q", tc.name, got)
				}
				c.Close()
				w.close()
				if tickets.given != 0 {
					t.Errorf("%s, version %#x: %d tickets", tc.name, version, tickets.given)
				}
			})
		}
	}
}

func TestTheTraceTellsWhatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		note := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprintf(format, args...))
		}
		w := newWorld(t, func(cfg *smtpserver.Config) {
			cfg.Auth = true
			cfg.Trace = smtpserver.Trace{
				Connected:       func(i smtpserver.ConnInfo) { note("connected %v %v", i.Client, i.Listener) },
				Disconnected:    func(_ smtpserver.ConnInfo, e smtpserver.End) { note("%s after %d in %v", e.Why, e.Messages, e.Took) },
				HandshakeFailed: func(_ smtpserver.ConnInfo, err error) { note("handshake %v", err != nil) },
				Refused: func(_ smtpserver.ConnInfo, command string, from, to mail.Address, r smtp.Reply) {
					note("refused %s <%s> <%s> %s", command, from, to, r)
				},
				LoggedIn: func(_ smtpserver.ConnInfo, user string, ok bool) { note("login %s %v", user, ok) },
			}
		})
		nc := w.dial("198.51.100.1")
		io.WriteString(nc, "BLA\r\nEHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<refuse@gw.test>\r\nRCPT TO:<b@gw.test>\r\nDATA\r\n.\r\nSTARTTLS\r\n")
		synctest.Wait()
		time.Sleep(time.Second)
		io.WriteString(nc, "this is no ClientHello\r\n")
		readAll(nc)
		nc.Close()
		w.close()
		want := `connected 198.51.100.1:40001 test
refused  <> <> 500 5.5.1 command not known
refused RCPT <a@c.test> <refuse@gw.test> 550 5.7.1 no
handshake true
TLS handshake failed after 1 in 1s`
		if s := strings.Join(got, "\n"); s != want {
			t.Errorf("got\n%s\nwant\n%s", s, want)
		}
	})
}

// A host name with a final dot breaks the handshake, and the TLS library says only that it cannot read it.
func TestAServerNameWithAFinalDotIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Pointer[string]
		w := newWorld(t, func(cfg *smtpserver.Config) {
			cfg.Trace.HandshakeFailed = func(_ smtpserver.ConnInfo, err error) { s := err.Error(); told.Store(&s) }
		})
		nc := w.dial("198.51.100.1")
		io.WriteString(nc, "EHLO c.test\r\nSTARTTLS\r\n")
		synctest.Wait()
		nc.Write((&tlsprobe.Hello{Version: tlsprobe.TLS12, Name: "mx.gw.test.", Suites: []tlsprobe.Suite{0xc02f}}).Record())
		readAll(nc)
		nc.Close()
		w.close()
		if s := told.Load(); s == nil || !strings.Contains(*s, `host name "mx.gw.test."`) || !strings.Contains(*s, "final dot") {
			t.Errorf("the log says %v", s)
		}
	})
}

// Recipients over the limit cost a client nothing, so they must not cost the log a line each.
func TestOnlyTheFirstRecipientTooManyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int32
		w := newWorld(t, func(cfg *smtpserver.Config) {
			cfg.Limits.Recipients = 2
			cfg.Trace.Refused = func(smtpserver.ConnInfo, string, mail.Address, mail.Address, smtp.Reply) { told.Add(1) }
		})
		nc := w.dial("198.51.100.1")
		transaction := "MAIL FROM:<a@c.test>\r\n" + strings.Repeat("RCPT TO:<b@gw.test>\r\n", 500) + "RSET\r\n"
		go io.WriteString(nc, "EHLO c.test\r\n"+transaction+transaction+"QUIT\r\n")
		if n := strings.Count(readAll(nc), "452 4.5.3"); n != 2*498 {
			t.Errorf("%d recipients were refused, want %d", n, 2*498)
		}
		if n := told.Load(); n != 2 {
			t.Errorf("%d refusals were told, want one for each transaction", n)
		}
		nc.Close()
		w.close()
	})
}

func TestABugEndsOneSessionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told string
		w := newWorld(t, func(cfg *smtpserver.Config) {
			cfg.Trace.Panicked = func(i smtpserver.ConnInfo, v any, stack []byte) {
				told = fmt.Sprint(i.Client.Addr(), " ", v, " ", strings.Contains(string(stack), "scripted"))
			}
		})
		other := w.dial("198.51.100.2")
		nc := w.dial("198.51.100.1")
		io.WriteString(nc, "EHLO c.test\r\nMAIL FROM:<panic@c.test>\r\n")
		if got := readAll(nc); !strings.HasSuffix(got, "\r\n421 4.3.0 gw.test internal error\r\n") {
			t.Errorf("got %q", got)
		}
		nc.Close()
		io.WriteString(other, "QUIT\r\n")
		if got := readAll(other); !strings.HasSuffix(got, "221 2.0.0 bye\r\n") {
			t.Errorf("the other client got %q", got)
		}
		other.Close()
		w.close()
		if told != "198.51.100.1 a bug true" {
			t.Errorf("told %q", told)
		}
	})
}

func TestAConfigThatCannotServeIsRefused(t *testing.T) {
	ok := smtpserver.Config{Hostname: "gw.test", NewSession: (&recorder{}).open}
	for name, change := range map[string]func(*smtpserver.Config){
		"no name":           func(c *smtpserver.Config) { c.Hostname = "" },
		"no session":        func(c *smtpserver.Config) { c.NewSession = nil },
		"smtps without TLS": func(c *smtpserver.Config) { c.Mode = smtpserver.SMTPS },
		"no certificate":    func(c *smtpserver.Config) { c.TLS = &tls.Config{} },
		"GetConfigForClient": func(c *smtpserver.Config) {
			c.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }}
		},
	} {
		cfg := ok
		change(&cfg)
		if _, err := smtpserver.New(cfg); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := smtpserver.New(ok); err != nil {
		t.Error(err)
	}
}

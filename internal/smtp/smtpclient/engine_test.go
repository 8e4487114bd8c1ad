package smtpclient_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/lab/testkit/memnet"
	"postern/internal/mail"
	"postern/internal/smtp/smtpclient"
)

// counting counts the writes that reach the network.
type counting struct {
	net.Conn
	writes int
}

func (c *counting) Write(p []byte) (int, error) {
	c.writes++
	return c.Conn.Write(p)
}

// null is a peer that says yes to everything and understands just enough to find the end of the content.
func null(nc net.Conn, ext string) {
	defer nc.Close()
	r := bufio.NewReader(nc)
	io.WriteString(nc, "220 null\r\n")
	ok, ahead := []byte("250 ok\r\n"), []byte("354 go\r\n")
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case err != nil:
			return
		case bytes.HasPrefix(line, []byte("EHLO")):
			io.WriteString(nc, "250-null\r\n"+ext+"250 HELP\r\n")
		case bytes.HasPrefix(line, []byte("DATA")):
			nc.Write(ahead)
			for err == nil && string(line) != ".\r\n" {
				line, err = r.ReadSlice('\n')
			}
			nc.Write(ok)
		case bytes.HasPrefix(line, []byte("BDAT")):
			n := 0
			for _, c := range line[5:] {
				if c < '0' || c > '9' {
					break
				}
				n = 10*n + int(c-'0')
			}
			r.Discard(n)
			nc.Write(ok)
		default:
			nc.Write(ok)
		}
	}
}

func message(size int) *smtpclient.Transaction {
	line := strings.Repeat("x", 70) + "\r\n"
	return &smtpclient.Transaction{Body: strings.NewReader(strings.Repeat(line, size/72)),
		Envelope: mail.Envelope{From: mail.MustAddress("s@here.test")},
		Recipients: []mail.Recipient{{Address: mail.MustAddress("a@x.test")}, {Address: mail.MustAddress("b@x.test")},
			{Address: mail.MustAddress("c@x.test")}}}
}

// TestWritesPerMessage: with PIPELINING the sender and all recipients are one write, with CHUNKING a small message goes
// with them.
func TestWritesPerMessage(t *testing.T) {
	for _, c := range []struct {
		ext  string
		want int
	}{
		{"250-PIPELINING\r\n250-CHUNKING\r\n", 1},
		{"250-PIPELINING\r\n", 3}, // DATA waits for the recipients
		{"250-CHUNKING\r\n", 5},
		{"", 6},
	} {
		synctest.Test(t, func(t *testing.T) {
			server, client := memnet.Pipe()
			go null(server, c.ext)
			nc := &counting{Conn: client}
			conn := open(t, nc, false)
			before := nc.writes
			if _, err := conn.Send(t.Context(), message(4096)); err != nil {
				t.Fatal(err)
			}
			if got := nc.writes - before; got != c.want {
				t.Errorf("with %q a message costs %d writes, want %d", c.ext, got, c.want)
			}
			conn.Quit(t.Context())
		})
	}
}

// TestAMessageCostsFewAllocations keeps the hot path from growing: the result, its recipients, and what a context with
// cancellation needs.
func TestAMessageCostsFewAllocations(t *testing.T) {
	for _, ext := range []string{"250-PIPELINING\r\n250-CHUNKING\r\n", "250-PIPELINING\r\n"} {
		conn := smtpclient.New(dialNull(t, ext), smtpclient.Config{})
		greet(t, conn)
		tr := message(4096)
		if n := testing.AllocsPerRun(200, func() {
			if _, err := conn.Send(context.Background(), tr); err != nil {
				t.Fatal(err)
			}
		}); n > 6 {
			t.Errorf("with %q a message costs %v allocations", ext, n)
		}
		conn.Close()
	}
}

// dialNull starts a null peer on loopback, for what must be measured without the network in memory.
func dialNull(t testing.TB, ext string) net.Conn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go null(server, ext)
	return nc
}

func greet(t testing.TB, c *smtpclient.Conn) {
	t.Helper()
	if _, err := c.Greet(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := c.Hello(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestContentThatIsNotAsLongAsSaidIsNotSent: a truncated body never reaches a recipient.
func TestContentThatIsNotAsLongAsSaidIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := memnet.Pipe()
		go null(server, "250-PIPELINING\r\n")
		conn := open(t, client, false)
		tr := message(4096)
		tr.Size = 5000
		res, err := conn.Send(t.Context(), tr)
		var e *smtpclient.Error
		if !errors.As(err, &e) || e.Kind != smtpclient.BadContent || e.Sent || !conn.Healthy() {
			t.Fatalf("%+v, %v", res, err)
		}
		if tr.Size = 0; true {
			if _, err := conn.Send(t.Context(), tr); err != nil {
				t.Fatalf("the connection should be untouched: %v", err)
			}
		}
		conn.Quit(t.Context())
	})
}

// shrinking reports its whole size and then ends early, as a file cut behind our back.
type shrinking struct{ *strings.Reader }

func (s shrinking) Read(p []byte) (int, error) {
	if s.Len() <= 3000 {
		return 0, io.EOF
	}
	return s.Reader.Read(p[:min(len(p), 100)])
}

func TestContentThatEndsEarlyKillsTheConnection(t *testing.T) {
	for _, ext := range []string{"250-PIPELINING\r\n250-CHUNKING\r\n", "250-CHUNKING\r\n", "250-PIPELINING\r\n", ""} {
		synctest.Test(t, func(t *testing.T) {
			server, client := memnet.Pipe()
			go null(server, ext)
			conn := open(t, client, false)
			tr := message(100 << 10)
			tr.Body = shrinking{tr.Body.(*strings.Reader)}
			res, err := conn.Send(t.Context(), tr)
			var e *smtpclient.Error
			if !errors.As(err, &e) || e.Kind != smtpclient.BadContent || e.Sent || conn.Healthy() {
				t.Fatalf("with %q: %+v, %v", ext, res, err)
			}
			if res.Recipients[0].Outcome != smtpclient.Undecided {
				t.Fatalf("with %q: %+v", ext, res)
			}
		})
	}
}

// TestCancellationEndsEveryWait cancels in each phase while the peer says nothing.
func TestCancellationEndsEveryWait(t *testing.T) {
	lines := []string{"220 x\r\n", "250-x\r\n250 STARTTLS\r\n", "220 go\r\n"}
	phases := []smtpclient.Phase{smtpclient.PhaseGreeting, smtpclient.PhaseHello, smtpclient.PhaseStartTLS,
		smtpclient.PhaseHandshake}
	for n, phase := range phases {
		said := lines[:n]
		synctest.Test(t, func(t *testing.T) {
			server, client := memnet.Pipe()
			defer server.Close()
			go func() {
				for _, line := range said {
					io.WriteString(server, line)
					server.Read(make([]byte, 100))
				}
			}()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Minute/2, cancel)
			conn := smtpclient.New(client, smtpclient.Config{})
			defer conn.Close()
			_, err := conn.Greet(ctx)
			if err == nil {
				err = conn.Hello(ctx)
			}
			if err == nil {
				_, err = conn.StartTLS(ctx, &tls.Config{InsecureSkipVerify: true})
			}
			var e *smtpclient.Error
			if !errors.As(err, &e) || e.Phase != phase || e.Kind != smtpclient.Canceled || !errors.Is(err, context.Canceled) || conn.Healthy() {
				t.Errorf("after %q: %v", said, err)
			}
			if _, err := conn.Send(t.Context(), message(100)); err == nil {
				t.Error("a dead connection took a message")
			}
		})
	}
}

// TestTheTimeCanBeEndedUntilTheEndOfTheContentAndIsToldAsTime: what is cut off before the end never reached the peer
// whole.
func TestTheTimeCanBeEndedUntilTheEndOfTheContentAndIsToldAsTime(t *testing.T) {
	for _, ext := range []string{"", "250-PIPELINING\r\n", "250-CHUNKING\r\n", "250-PIPELINING\r\n250-CHUNKING\r\n"} {
		for _, cut := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				server, client := memnet.Pipe()
				go null(server, ext)
				conn := smtpclient.New(client, smtpclient.Config{})
				defer conn.Close()
				greet(t, conn)
				ctx, end := context.WithCancelCause(t.Context())
				defer end(nil)
				called := 0
				m := message(100)
				m.Ending = func() {
					called++
					if cut {
						end(context.DeadlineExceeded)
					}
				}
				result, err := conn.Send(ctx, m)
				if called != 1 {
					t.Fatalf("%q: Ending was called %d times", ext, called)
				}
				var e *smtpclient.Error
				switch got := result.Recipients[0].Outcome; {
				case !cut && (err != nil || got != smtpclient.Delivered):
					t.Errorf("%q: %v, %v", ext, got, err)
				case cut && (!errors.As(err, &e) || e.Kind != smtpclient.Timeout || e.Sent || got != smtpclient.Undecided):
					t.Errorf("%q, cut off: %v, %v", ext, got, err)
				}
			})
		}
	}
}

// TestEarlierCancellationDoesNotReachTheNextCall: a context counts for its own call only.
func TestEarlierCancellationDoesNotReachTheNextCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := memnet.Pipe()
		go null(server, "")
		ctx, cancel := context.WithCancel(t.Context())
		conn := smtpclient.New(client, smtpclient.Config{})
		if _, err := conn.Greet(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := conn.Hello(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn.Quit(t.Context())
	})
}

func TestResetFindsOutWhetherAnIdleConnectionLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := memnet.Pipe()
		go null(server, "")
		conn := open(t, client, false)
		if err := conn.Reset(t.Context()); err != nil || !conn.Healthy() {
			t.Fatal(err)
		}
		server.Close()
		synctest.Wait()
		var e *smtpclient.Error
		if err := conn.Reset(t.Context()); !errors.As(err, &e) || e.Kind != smtpclient.Closed || conn.Healthy() {
			t.Fatal(err)
		}
	})
}

// TestAddressesThatWouldBreakACommandAreNeverWritten: an Address made by hand can hold anything.
func TestAddressesThatWouldBreakACommandAreNeverWritten(t *testing.T) {
	for _, local := range []string{"a\r\nRCPT TO:<evil@x.test>", "a\x00", "a> NOTIFY=NEVER", "a b", "\"a\r\n\"", "\xff", ""} {
		synctest.Test(t, func(t *testing.T) {
			server, client := memnet.Pipe()
			go null(server, "250-SMTPUTF8\r\n")
			nc := &counting{Conn: client}
			conn := open(t, nc, false)
			before := nc.writes
			bad := mail.Address{Local: local, Domain: mail.MustDomain("x.test")}
			if local == "" {
				bad.Domain = mail.Domain{}
			}
			tr := message(100)
			tr.Recipients = []mail.Recipient{{Address: bad}}
			res, err := conn.Send(t.Context(), tr)
			if r := res.Recipients[0]; err != nil || r.Outcome != smtpclient.Failed || r.Reply.Status != "5.1.3" || !r.Local {
				t.Errorf("to %q: %+v, %v", local, r, err)
			}
			tr = message(100)
			if tr.Envelope.From = bad; local != "" {
				res, err = conn.Send(t.Context(), tr)
				if r := res.Recipients[0]; err != nil || r.Outcome != smtpclient.Failed || r.Reply.Status != "5.1.7" || !r.Local {
					t.Errorf("from %q: %+v, %v", local, r, err)
				}
			}
			if nc.writes != before {
				t.Errorf("%q was written", local)
			}
			conn.Quit(t.Context())
		})
	}
}

func BenchmarkSend(b *testing.B) {
	for name, ext := range map[string]string{"BDAT": "250-PIPELINING\r\n250-CHUNKING\r\n", "DATA": "250-PIPELINING\r\n"} {
		b.Run(name, func(b *testing.B) {
			conn := smtpclient.New(dialNull(b, ext), smtpclient.Config{})
			defer conn.Close()
			greet(b, conn)
			tr := message(4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Send(context.Background(), tr); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

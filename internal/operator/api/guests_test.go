package api

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// At the admin port half-sent requests and idle connections make room for whoever comes; only where all are being
// answered the newcomer hears 503 and when to come again.
func TestTheAdminPortHasFewPlaces(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	hold, begun := make(chan struct{}), make(chan struct{}, 10)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- struct{}{}
			<-hold
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	done := make(chan error, 1)
	go func() { done <- ServePublic(ctx, l, 4, h, slog.New(slog.DiscardHandler)) }()
	say := func(text string) net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second)) // shows at the read
		fmt.Fprint(c, text)
		return c
	}
	hears := func(c net.Conn) string {
		line, _ := bufio.NewReader(c).ReadString('\n') // "" is a connection that was closed
		return strings.TrimSpace(line)
	}
	var half []net.Conn
	for range 40 {
		half = append(half, say("GET / HTTP/1.1\r\nHost: x\r\n"))
	}
	if got := hears(say("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); got != "HTTP/1.1 200 OK" {
		t.Errorf("behind half-sent requests somebody hears %q", got)
	}
	if got := hears(half[0]); got != "" {
		t.Errorf("the first half-sent request hears %q", got)
	}
	for range 4 {
		say("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
		<-begun
	}
	text, _ := io.ReadAll(say("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	if !strings.HasPrefix(string(text), "HTTP/1.1 503 ") || !strings.Contains(string(text), "Retry-After: ") || !strings.Contains(string(text), "admin.connections") {
		t.Errorf("while all are being answered somebody hears %q", text)
	}
	close(hold)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestOnlyRulesMayBeLarge(t *testing.T) {
	for path, want := range map[string]int64{"/rules": maxBody, "/rules/preview": maxBody, "/queue": SmallBody, "/check": SmallBody, "/rulesx": SmallBody, "": SmallBody} {
		r, err := http.NewRequest("POST", Root+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := mostByToken(r); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

// deadlines remembers the read deadlines that were set.
type deadlines struct {
	http.ResponseWriter
	last time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.last = t
	return nil
}

// A deadline that is left behind a body would end the context of a long answer.
func TestTheTimeOfABodyEndsWithIt(t *testing.T) {
	for name, body := range map[string]io.Reader{"none": nil, "empty": http.NoBody, "some": strings.NewReader("a=b")} {
		d := &deadlines{last: time.Now().Add(time.Minute)} // the server's own, of the header
		r, err := http.NewRequest("POST", "/check", body)
		if err != nil {
			t.Fatal(err)
		}
		boundBody(d, r)
		if name == "some" {
			if until := time.Until(d.last); until <= 0 || until > 10*time.Second {
				t.Errorf("%s: the body may take %v", name, until)
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				t.Fatal(err)
			}
		}
		if !d.last.IsZero() {
			t.Errorf("%s: a deadline of %v is left", name, d.last)
		}
	}
}

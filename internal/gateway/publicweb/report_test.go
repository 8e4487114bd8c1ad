package publicweb

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/memnet"
	"postern/internal/policy/tlsrpt"
)

// taker is who takes reports: it says 201, or what a report tells it to say.
type taker struct {
	mu    sync.Mutex
	sizes []int
	hold  chan struct{}
}

func (k *taker) take(_ context.Context, document []byte, from netip.Addr) (int, string) {
	if k.hold != nil {
		<-k.hold
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sizes = append(k.sizes, len(document))
	if bytes.Equal(document, []byte("too many")) {
		return 429, "Too many.\n"
	}
	return 201, "Kept from " + from.String() + ".\n"
}

func posting(h2 bool, address string, ca *pki.CA) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), ServerName: "gw.home.test"}, ForceAttemptHTTP2: h2,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}}}
}

func TestReportsAreBrought(t *testing.T) {
	s, ca, h := served(time.Now())
	k := &taker{}
	s.cfg.Report = k.take
	address := real(t, s)
	for _, h2 := range []bool{false, true} {
		for _, c := range []struct {
			method, path string
			body         io.Reader
			code         int
		}{
			{"POST", ReportPath, strings.NewReader("small"), 201},
			{"POST", ReportPath, strings.NewReader(strings.Repeat("x", smallReport)), 201},
			{"POST", ReportPath, strings.NewReader(strings.Repeat("x", tlsrpt.MaxSize)), 201},
			{"POST", ReportPath, io.MultiReader(strings.NewReader(strings.Repeat("x", 200_000))), 201}, // no length is told
			{"POST", ReportPath, strings.NewReader(strings.Repeat("x", tlsrpt.MaxSize+1)), 413},
			{"POST", ReportPath, io.MultiReader(strings.NewReader(strings.Repeat("x", tlsrpt.MaxSize+1))), 413},
			{"POST", ReportPath, strings.NewReader("too many"), 429},
			{"POST", ReportPath + "/", strings.NewReader("small"), 404},
			{"PUT", ReportPath, strings.NewReader("small"), 404},
			{"GET", ReportPath, nil, 404},
		} {
			client := posting(h2, address, ca)
			r, _ := http.NewRequest(c.method, "https://gw.home.test"+c.path, c.body)
			answer, err := client.Do(r)
			if err != nil {
				if c.code == 413 { // the server closed before all of it was sent
					continue
				}
				t.Errorf("%s %s (%v, %d, %T %v): %v", c.method, c.path, h2, c.code, c.body, r.ContentLength, err)
				continue
			}
			text, err := io.ReadAll(answer.Body)
			if c.code == 413 && err != nil {
				text = []byte("cut off")
			}
			_ = answer.Body.Close()
			if answer.StatusCode != c.code || (c.code != 404) != (len(text) > 0) || c.code == 429 && answer.Header.Get("Retry-After") == "" {
				t.Errorf("%s %s: %d %q %v, want %d", c.method, c.path, answer.StatusCode, text, answer.Header, c.code)
			}
			client.CloseIdleConnections()
		}
	}
	if e := h.list[0]; e.Page != event.WebReport || e.Code != 201 {
		t.Errorf("%+v", e)
	}
	for _, n := range k.sizes {
		if n > tlsrpt.MaxSize {
			t.Error(n, "octets are passed on")
		}
	}
	s.cfg.Report = nil
	client := posting(false, address, ca)
	if answer, err := client.Post("https://gw.home.test"+ReportPath, "", strings.NewReader("x")); err != nil || answer.StatusCode != 404 {
		t.Error("where no reports are taken", answer, err)
	}
	client.CloseIdleConnections()
}

// Who holds the seats of large reports, and says no more, is in the way of large ones alone, and not for long.
func TestSlowPostsAreInNobodysWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ca, _ := served(time.Now())
		k := &taker{}
		s.cfg.Report = k.take
		n := memnet.New()
		l, err := n.Listen("192.0.2.1:443")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		post := func(from, body string, length int) net.Conn {
			nc, err := n.Dialer(from).DialContext(t.Context(), "tcp", "192.0.2.1:443")
			if err != nil {
				t.Fatal(err)
			}
			c := handshake(t, nc, ca, "http/1.1")
			_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", ReportPath, length, body)
			return c
		}
		status := func(c net.Conn) string {
			answer := make([]byte, 12)
			_, _ = io.ReadFull(c, answer)
			return string(answer)
		}
		began := time.Now()
		var slow []net.Conn
		for i := range Reports {
			slow = append(slow, post(fmt.Sprintf("198.51.100.%d", i+1), strings.Repeat("x", smallReport+10), 1<<20))
		}
		synctest.Wait()
		if got := status(post("198.51.100.9", "small", 5)); got != "HTTP/1.1 201" {
			t.Error("a small one", got)
		}
		if got := status(post("198.51.100.9", strings.Repeat("x", smallReport+10), 1<<20)); got != "HTTP/1.1 503" {
			t.Error("a large one", got)
		}
		for _, c := range slow {
			_, _ = io.Copy(io.Discard, c)
		}
		if took := time.Since(began); took > lifetime {
			t.Error("they may stay for", took)
		}
		if got := status(post("198.51.100.9", strings.Repeat("x", smallReport+10), smallReport+10)); got != "HTTP/1.1 201" {
			t.Error("a large one, later", got)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		<-done
	})
}

package api

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
)

// TestNotNowSaysWhen: whoever answers 429 or 503, behind any listener, the client is told when to come again.
func TestNotNowSaysWhen(t *testing.T) {
	mux := http.NewServeMux()
	for path, code := range map[string]int{"/busy": 429, "/down": 503, "/well": 200, "/gone": 404} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	mux.HandleFunc("/says", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "77")
		w.WriteHeader(429)
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "one\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx := t.Context()
	go func() { done <- ServePublic(ctx, l, 0, mux, slog.New(slog.DiscardHandler)) }()
	at := "http://" + l.Addr().String()
	for path, want := range map[string]string{"/busy": "5", "/down": "5", "/well": "", "/gone": "", "/says": "77"} {
		res, err := http.Get(at + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Retry-After"); got != want {
			t.Errorf("%s: Retry-After %q, want %q", path, got, want)
		}
	}
	res, err := http.Get(at + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	line := make([]byte, 4)
	if _, err := io.ReadFull(res.Body, line); err != nil || string(line) != "one\n" {
		t.Errorf("the stream says %q, %v", line, err)
	}
}

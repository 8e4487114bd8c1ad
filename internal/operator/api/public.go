package api

import (
	"io"
	"net/http"
)

// Public serves /metrics, /healthz and /readyz, for the TCP listener of [admin]. /healthz answers 200 while the process
// lives; /readyz answers 200 when ready returns nil, else 503 with the reason. Nothing else is there.
func Public(metrics http.Handler, ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			say(w, http.StatusServiceUnavailable, "not ready: "+err.Error()+"\n")
			return
		}
		say(w, http.StatusOK, "ready\n")
	})
	return mux
}

func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text) // the reader may have gone
}

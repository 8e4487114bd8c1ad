package api

import "net/http"

// laterSeconds is what a client is told to wait where nobody says anything else.
const laterSeconds = "5"

// later puts Retry-After into every answer that says "not now" (429, 503) without it.
func later(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&laterWriter{w}, r) })
}

type laterWriter struct{ http.ResponseWriter }

// WriteHeader writes the head.
func (w *laterWriter) WriteHeader(code int) {
	if (code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable) &&
		w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", laterSeconds)
	}
	w.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController find what the server's own writer can.
func (w *laterWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush sends what was written, for streams; what is wrong shows at the next write.
func (w *laterWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

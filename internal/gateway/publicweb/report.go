package publicweb

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"postern/internal/policy/tlsrpt"
)

// ReportPath is where reports about TLS are brought (RFC 8460 §3).
const ReportPath = "/tlsrpt"

// connKey is under which a request's context has its connection.
type connKey struct{}

// withConn is the ConnContext of http.Server.
func withConn(ctx context.Context, nc net.Conn) context.Context {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if in, ok := nc.(*conn); ok {
		return context.WithValue(ctx, connKey{}, in)
	}
	return ctx
}

// takesReport reports whether a request brings a report.
func (s *Server) takesReport(r *http.Request) bool {
	return s.cfg.Report != nil && !s.cfg.Plain && r.Method == http.MethodPost && r.URL.Path == ReportPath
}

// smallReport is what is read at once, in bytes: most reports are smaller. For more a seat is needed, so that those who
// hold the seats, and be it for long, are in the way of nobody but other large ones.
const smallReport = 64 << 10

// report reads a report and passes it on.
func (s *Server) report(w http.ResponseWriter, r *http.Request) (code int, text string) {
	if r.ContentLength > tlsrpt.MaxSize {
		w.Header().Set("Connection", "close")
		return tooLarge()
	}
	widen(r, smallReport)
	body, err := io.ReadAll(io.LimitReader(r.Body, smallReport+1))
	if err == nil && len(body) > smallReport {
		select {
		case s.seats <- struct{}{}:
			defer func() { <-s.seats }()
		default:
			w.Header().Set("Connection", "close")
			w.Header().Set("Retry-After", "300")
			return http.StatusServiceUnavailable, "Other reports are read just now, try again later.\n"
		}
		body, err = large(w, r, body)
	}
	switch _, over := errors.AsType[*http.MaxBytesError](err); {
	case over:
		return tooLarge()
	case err != nil:
		return http.StatusBadRequest, "The report did not arrive whole.\n"
	}
	due := time.Now().Add(reportTime)
	// where a connection knows none, it has its minute
	_ = http.NewResponseController(w).SetWriteDeadline(due.Add(answerTime))
	if code, text = s.cfg.Report(r.Context(), body, client(r.RemoteAddr)); code == http.StatusServiceUnavailable ||
		code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "3600")
	}
	return code, text
}

// large reads the rest of a large report, for which there is more time.
func large(w http.ResponseWriter, r *http.Request, begun []byte) ([]byte, error) {
	due, control := time.Now().Add(reportTime), http.NewResponseController(w)
	_ = control.SetReadDeadline(due)
	_ = control.SetWriteDeadline(due.Add(answerTime))
	widen(r, tlsrpt.MaxSize+tlsrpt.MaxSize/8) // with the framing of HTTP and TLS
	rest, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(tlsrpt.MaxSize-len(begun))))
	return append(begun, rest...), err
}

// widen lets a connection bring more, once for each of the two sizes.
func widen(r *http.Request, more int64) {
	in, ok := r.Context().Value(connKey{}).(*conn)
	if !ok {
		return
	}
	once := &in.small
	if more > smallReport {
		once = &in.large
	}
	if once.CompareAndSwap(false, true) {
		in.left.Add(more)
	}
}

func tooLarge() (code int, text string) {
	return http.StatusRequestEntityTooLarge, "The report is larger than 10 MiB.\n"
}

package publicweb

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"postern/internal/event"
	"postern/internal/mail"
)

// policyPath is where a policy is (RFC 8461 §3.3).
const policyPath = "/.well-known/mta-sts.txt"

// answer answers a request and tells of it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	kind, code, text := s.page(w, r)
	if kind != event.WebReport && r.ContentLength != 0 && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // no body is waited for
	}
	w.Header()["Content-Type"] = nil
	if text != "" {
		w.Header().Set("Content-Type", "text/plain")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text) // the reader may have gone
	s.cfg.Sink.Emit(event.WebRequested{Listener: s.cfg.Listener, Client: client(r.RemoteAddr), Page: kind, Code: code, Took: time.Since(began)})
}

// page finds what a request asks for.
func (s *Server) page(w http.ResponseWriter, r *http.Request) (kind event.WebPage, code int, text string) {
	if s.takesReport(r) {
		code, text = s.report(w, r)
		return event.WebReport, code, text
	}
	if text = s.policy(r); text != "" {
		return event.WebPolicy, http.StatusOK, text
	}
	return event.WebNone, http.StatusNotFound, ""
}

// policy is the policy that a request asks for; "" where it asks for none.
func (s *Server) policy(r *http.Request) string {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.Path != policyPath {
		return ""
	}
	domain, ok := policyDomain(r.Host)
	if !ok {
		return ""
	}
	return s.cfg.Policy(domain)
}

// policyDomain is the domain whose policy host a request names.
func policyDomain(host string) (mail.Domain, bool) {
	if name, port, err := net.SplitHostPort(host); err == nil && (port == "" || strings.Trim(port, "0123456789") == "") {
		host = name
	}
	name, ok := strings.CutPrefix(strings.ToLower(strings.TrimSuffix(host, ".")), "mta-sts.")
	if !ok {
		return mail.Domain{}, false
	}
	domain, err := mail.ParseDomain(name)
	return domain, err == nil
}

// client is the address of a client; the zero Addr where it has none.
func client(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}

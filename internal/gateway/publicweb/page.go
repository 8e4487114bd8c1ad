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

// found is what a request asked for. The zero value is nothing.
type found struct {
	page event.WebPage
	// kind is the content type.
	kind, text string
}

// answer answers a request and tells of it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	f, code := s.page(w, r)
	if f.page != event.WebReport && r.ContentLength != 0 && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // no body is waited for
	}
	w.Header()["Content-Type"] = nil
	if f.text != "" {
		w.Header().Set("Content-Type", f.kind)
	}
	if f.page == event.WebPartners { // for browsers
		w.Header().Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; "+
			"frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(f.text)))
	w.WriteHeader(code)
	_, _ = io.WriteString(w, f.text) // the reader may have gone
	s.cfg.Sink.Emit(event.WebRequested{Listener: s.cfg.Listener, Client: client(r.RemoteAddr), Page: f.page, Code: code,
		Took: time.Since(began)})
}

// page finds what a request asks for.
func (s *Server) page(w http.ResponseWriter, r *http.Request) (f found, code int) {
	if s.takesReport(r) {
		code, text := s.report(w, r)
		return found{event.WebReport, "text/plain", text}, code
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		f = s.document(r)
	}
	if f.text == "" {
		return found{page: event.WebNone}, http.StatusNotFound
	}
	return f, http.StatusOK
}

// document finds what a request wants to read.
func (s *Server) document(r *http.Request) found {
	if token, ok := token(r.URL.Path); ok && s.cfg.Answer != nil {
		return found{event.WebChallenge, "text/plain", s.cfg.Answer(token)}
	}
	if s.cfg.Plain {
		return found{}
	}
	if r.URL.Path == policyPath {
		domain, ok := policyDomain(r.Host)
		if !ok {
			return found{}
		}
		return found{event.WebPolicy, "text/plain", s.cfg.Policy(domain)}
	}
	switch r.URL.Path {
	case partnersPath, partnersTextPath, partnersPEMPath:
		return s.partners(r)
	}
	return found{}
}

// partners finds the page for partners that a request asks for.
func (s *Server) partners(r *http.Request) found {
	if s.cfg.Partners == nil {
		return found{}
	}
	if p := s.cfg.Partners(); p != nil && named(r.Host) == p.Host {
		kind, text := p.at(r.URL.Path)
		return found{event.WebPartners, kind, text}
	}
	return found{}
}

// named is the name of a host that a request names, without its port.
func named(host string) string {
	if name, port, err := net.SplitHostPort(host); err == nil &&
		(port == "" || strings.Trim(port, "0123456789") == "") {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// policyDomain is the domain whose policy host a request names.
func policyDomain(host string) (mail.Domain, bool) {
	name, ok := strings.CutPrefix(named(host), "mta-sts.")
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

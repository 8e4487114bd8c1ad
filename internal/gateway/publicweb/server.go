package publicweb

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/policy/tlsrpt"
)

// The bounds of the package comment.
const (
	// Connections is how many there are at a time.
	Connections = 128
	// ConnectionMemory is what each may cost in bytes: TLS, the buffers of HTTP/2, what it may bring and a small
	// report.
	ConnectionMemory = 256 << 10

	perClient    = 16
	lifetime     = time.Minute
	readMost     = 96 << 10 // HTTP/2 may bring 64 KiB of a body before anybody looks at the request
	headerMost   = 8 << 10
	streams      = 16
	requestTime  = 10 * time.Second
	answerTime   = 10 * time.Second
	idleTime     = 15 * time.Second
	shutdownTime = 2 * time.Second
	reportTime   = 40 * time.Second

	// Reports is how many large reports there are at a time, each with ReportMemory in bytes: as it came and as it is
	// read.
	Reports      = 2
	ReportMemory = 2 * tlsrpt.MaxSize
)

// Config is what a Server needs. All of it must be set, but Listener, Report and what is said to be for some.
type Config struct {
	// Listener is what events call it.
	Listener string
	// Plain serves the challenges of a CA over HTTP and nothing else; Certificate, Policy and Partners are for others.
	Plain bool
	// Answer returns what a CA is to find under a token, "" for none; TLSAnswer the certificate for a handshake that is
	// a challenge, nil for none. Both may be nil, for servers that no CA comes to. Safe for concurrent use.
	Answer    func(token string) string
	TLSAnswer func(name string) *tls.Certificate
	// Partners returns what partners are shown, nil where they are shown nothing; it may be nil. Safe for concurrent
	// use.
	Partners func() *Partners
	// Certificate chooses the certificate for a handshake.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Policy returns the MTA-STS policy of a domain as it is published, "" where it has none. Safe for concurrent use.
	Policy func(domain mail.Domain) string
	// Report takes a report about TLS and returns the status of HTTP and a sentence; nil takes none. Safe for
	// concurrent use.
	Report func(ctx context.Context, document []byte, client netip.Addr) (code int, text string)
	// Sink is told of every request.
	Sink event.Sink
}

// Server answers strangers. It is safe for concurrent use.
type Server struct {
	cfg   Config
	http  *http.Server
	crowd *crowd
	seats chan struct{} // of reports
}

// New returns a Server that does nothing yet.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, crowd: newCrowd(Connections, perClient), seats: make(chan struct{}, Reports)}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(!cfg.Plain)
	s.http = &http.Server{
		Handler: http.HandlerFunc(s.answer), Protocols: &protocols,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cfg.Certificate,
			GetConfigForClient: s.challenged},
		ReadHeaderTimeout: requestTime, ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: headerMost, DisableGeneralOptionsHandler: true, ConnState: s.crowd.state, ConnContext: withConn,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streams, WriteByteTimeout: answerTime,
			// less breaks clients that begin before they know
			MaxReceiveBufferPerConnection: 64 << 10, MaxReceiveBufferPerStream: 64 << 10},
		ErrorLog: log.New(io.Discard, "", 0), // of strangers' mistakes, which are theirs to see
	}
	return s
}

// Serve answers at a socket until Shutdown, after which it returns nil. It closes the socket.
func (s *Server) Serve(l net.Listener) error {
	var err error
	if s.cfg.Plain {
		err = s.http.Serve(&listener{l, s.crowd})
	} else {
		err = s.http.ServeTLS(&listener{l, s.crowd}, "", "")
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown ends every connection: those that are being answered within two seconds or until ctx ends. It returns when
// all are done; the error is nil.
func (s *Server) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownTime)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close() // what did not end in time is cut
	}
	s.crowd.end()
	return nil
}

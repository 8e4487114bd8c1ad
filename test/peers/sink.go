package peers

import (
	"bytes"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// Mail is what a Sink received in one transaction.
type Mail struct {
	From string
	To   []string
	Data []byte
}

// Sink is an SMTP server without TLS inside the test, where the real servers hand on what they accepted. It is not our
// own engine, so that a mistake shared by both ends of ours cannot hide.
type Sink struct {
	Addr   string
	mu     sync.Mutex
	mail   []Mail
	change chan struct{} // closed and replaced with each new mail
}

// NewSink starts a Sink that ends with the test.
func NewSink(t testing.TB) *Sink {
	t.Helper()
	s := &Sink{change: make(chan struct{})}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &sinkSession{sink: s},
			nil
	}))
	server.Domain = "sink.test"
	server.EnableSMTPUTF8 = true
	server.MaxLineLength = 1 << 20
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = listener.Addr().String()
	ended := make(chan struct{})
	go func() {
		_ = server.Serve(listener) // it returns when the server is closed
		close(ended)
	}()
	t.Cleanup(func() {
		// Close below ends only a listener that Serve has registered, and Serve may not have come so far
		listener.Close()
		server.Close()
		<-ended
	})
	return s
}

// Wait returns the first mail that has arrived, or arrives in time, and that match accepts; the test fails otherwise.
func (s *Sink) Wait(t testing.TB, within time.Duration, match func(Mail) bool) Mail {
	t.Helper()
	deadline := time.After(within)
	for {
		s.mu.Lock()
		found := slices.IndexFunc(s.mail, match)
		var m Mail
		if found >= 0 {
			m = s.mail[found]
		}
		change, count := s.change, len(s.mail)
		s.mu.Unlock()
		if found >= 0 {
			return m
		}
		select {
		case <-change:
		case <-deadline:
			t.Fatalf("the expected mail did not arrive within %v; %d others did", within, count)
		}
	}
}

// All returns what has arrived so far.
func (s *Sink) All() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mail)
}

// ToAddress matches mail to a recipient.
func ToAddress(address string) func(Mail) bool {
	return func(m Mail) bool { return slices.Contains(m.To, address) }
}

// With matches mail to a recipient whose content has a text.
func With(address, text string) func(Mail) bool {
	return func(m Mail) bool { return ToAddress(address)(m) && bytes.Contains(m.Data, []byte(text)) }
}

type sinkSession struct {
	sink *Sink
	mail Mail
}

// Reset forgets the transaction.
func (s *sinkSession) Reset() { s.mail = Mail{} }

// Logout does nothing.
func (s *sinkSession) Logout() error { return nil }

// Mail notes the sender.
func (s *sinkSession) Mail(from string, _ *smtp.MailOptions) error {
	s.mail = Mail{From: from}
	return nil
}

// Rcpt notes a recipient.
func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.To = append(s.mail.To, to)
	return nil
}

// Data keeps the mail.
func (s *sinkSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mail.Data = data
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.mail = append(s.sink.mail, s.mail)
	close(s.sink.change)
	s.sink.change = make(chan struct{})
	return nil
}

package smtp_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"

	gosmtp "github.com/emersion/go-smtp"

	"postern/internal/mail"
	"postern/internal/smtp"
)

// oracle is a go-smtp server that says how it reads MAIL FROM.
type oracle struct {
	mu    sync.Mutex
	from  string
	conns chan net.Conn
}

func newOracle(f *testing.F) *oracle {
	o := &oracle{conns: make(chan net.Conn)}
	server := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return o, nil }))
	server.Domain, server.EnableSMTPUTF8, server.MaxLineLength = "oracle.test", true, 1<<16
	go server.Serve(o)
	f.Cleanup(func() { server.Close() })
	return o
}

// Accept, Close and Addr make it a net.Listener.
func (o *oracle) Accept() (net.Conn, error) {
	nc, ok := <-o.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return nc, nil
}
func (o *oracle) Close() error   { return nil }
func (o *oracle) Addr() net.Addr { return &net.TCPAddr{} }

// Reset and the others make it a Session.
func (o *oracle) Reset()        {}
func (o *oracle) Logout() error { return nil }
func (o *oracle) Mail(from string, _ *gosmtp.MailOptions) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.from = from
	return nil
}
func (o *oracle) Rcpt(string, *gosmtp.RcptOptions) error { return errors.New("no") }
func (o *oracle) Data(io.Reader) error                   { return errors.New("no") }

// read asks go-smtp how it reads the address; ok is false when it refuses.
func (o *oracle) read(t *testing.T, address string) (from string, ok bool) {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	o.conns <- server
	r := bufio.NewReader(client)
	reply := func() string {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("go-smtp, asked about %q: %v", address, err)
			}
			if len(line) < 4 || line[3] != '-' {
				return line
			}
		}
	}
	reply()
	io.WriteString(client, "EHLO c.test\r\n")
	reply()
	io.WriteString(client, "MAIL FROM:<"+address+"> SMTPUTF8\r\n")
	if !strings.HasPrefix(reply(), "250") {
		return "", false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.from, true
}

// plain is the local part without quotes and escapes.
func plain(local string) string {
	if !strings.HasPrefix(local, `"`) {
		return local
	}
	var b strings.Builder
	for i := 1; i < len(local)-1; i++ {
		if local[i] == '\\' {
			i++
		}
		b.WriteByte(local[i])
	}
	return b.String()
}

// FuzzAddressAgainstOthers holds our reading of addresses against go-smtp's and net/mail's. What we accept they must
// accept, and mean the same mailbox by it: a second reading of one address is how mail goes where a rule did not look.
// That they accept more is their business. Where they differ from us on purpose:
//   - an empty quoted local part, ""@a.test: RFC 5321 §4.1.2 allows it, both refuse it;
//   - address literals: net/mail does not read all that RFC 5321 §4.1.3 allows;
//   - both hand a quoted string on without its quotes, so mailboxes are compared and not texts.
func FuzzAddressAgainstOthers(f *testing.F) {
	for _, s := range []string{
		"a@b.test", `"a b"@b.test`, `"a\"b"@b.test`, `"a@evil.test"@b.test`, "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "ü@ü.test", `""@b.test`,
		"a.b.c@d", "a..b@c.test", ".a@b.test", "a@b.test.", "a@b@c.test", "<a@b.test>", "a@b.test>", "a(c)@b.test", `a\@b@c.test`, "@r.test:a@b.test",
		"a@b．test", `"<"@b.test`, `">"@b.test`, `"a>b"@c.test`, "a+b=c/d@e.test", "a@-b.test", "a@b_c.test", "postmaster", "'a'@b.test", "a%b@c.test",
		"a!b@c.test", `"\a"@b.test`, "a@" + strings.Repeat("x", 64) + ".test",
	} {
		f.Add(s)
	}
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "\r\n") || len(s) > 500 {
			return
		}
		m, no := smtp.ParseMail([]byte("FROM:<"+s+"> SMTPUTF8"), smtp.Offered{Extended: true})
		ours := m.Envelope.From
		if no != nil || ours.IsNull() || ours.Local == `""` {
			return
		}
		theirs, ok := o.read(t, s)
		if !ok {
			t.Fatalf("%q is %q, and go-smtp refuses it", s, ours)
		}
		at := strings.LastIndexByte(theirs, '@')
		domain, err := mail.ParseDomain(theirs[at+1:])
		if err != nil || domain != ours.Domain || theirs[:at] != plain(ours.Local) {
			t.Errorf("%q is %q (local part %q), go-smtp reads %q", s, ours, plain(ours.Local), theirs)
		}
		if _, literal := ours.Domain.Literal(); literal {
			return
		}
		if l := ours.Local; strings.HasPrefix(l, ".") || strings.HasSuffix(l, ".") || strings.Contains(l, "..") {
			return // taken here, refused by net/mail
		}
		list, err := netmail.ParseAddress("<" + ours.String() + ">")
		if err != nil {
			t.Fatalf("%q is %q, and net/mail refuses it: %v", s, ours, err)
		}
		at = strings.LastIndexByte(list.Address, '@')
		if got, want := list.Address[:at], plain(ours.Local); got != want || list.Address[at+1:] != ours.Domain.String() {
			t.Errorf("%q is %q, net/mail reads %q", s, ours, list.Address)
		}
	})
}

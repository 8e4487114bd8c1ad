package intake_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/admission"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/intake"
	"postern/internal/lab/pki"
	"postern/internal/policy/rules"
	"postern/internal/queue"
)

// stranger is a client that tries to bring mail. Steps are lines; "|" puts several into one write. "STARTTLS" makes the
// handshake too, a line that begins with "~" has no answer (content), "apply" and "withdraw" change what is in force.
type stranger struct {
	t    *testing.T
	nc   net.Conn
	in   *bufio.Reader
	tls  *tls.Config
	last string // the answer to the last line
	open bool   // content is wanted
}

func (s *stranger) say(step string) {
	if strings.HasPrefix(step, "~") && !s.open {
		return
	}
	lines := strings.Split(step, "|")
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(strings.TrimPrefix(line, "~") + "\r\n")
	}
	if _, err := s.nc.Write([]byte(text.String())); err != nil {
		s.last = "closed"
		return
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "~") {
			s.hear()
		}
	}
	s.open = strings.HasPrefix(step, "~") || strings.HasPrefix(s.last, "354")
	if step == "STARTTLS" && strings.HasPrefix(s.last, "220") {
		tc := tls.Client(s.nc, s.tls)
		if err := tc.Handshake(); err != nil {
			s.t.Fatal(err)
		}
		s.nc, s.in = tc, bufio.NewReader(tc)
	}
}

// hear reads an answer of one or more lines.
func (s *stranger) hear() {
	s.last = ""
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			s.last += "closed"
			return
		}
		s.last += line
		if len(line) > 3 && line[3] == ' ' {
			return
		}
	}
}

const (
	partnerRule = "[[rule]]\nname = \"partner\"\nscope = \"inbound\"\naction = \"require-tls\"\n[rule.match]\nsender = [\"partner.test\", \"*.partner.test\"]\n"
	authRule    = partnerRule + "[rule.require_tls]\nlevel = \"authenticated\"\nrevocation = \"off\"\n"
)

// inboundRule is a rule with other conditions and settings.
func inboundRule(name string, lines ...string) string {
	return "[[rule]]\nname = \"" + name + "\"\nscope = \"inbound\"\naction = \"require-tls\"\n" + strings.Join(lines, "\n") + "\n"
}

// hello begins a session in the clear, secure one inside TLS.
var (
	hello  = []string{"EHLO c.test"}
	secure = []string{"EHLO c.test", "STARTTLS", "EHLO c.test"}
)

func steps(begin []string, more ...string) []string {
	return append(append([]string{}, begin...), more...)
}

// content is a whole message of a sender to somebody here.
func content(from string) []string {
	return []string{"MAIL FROM:<" + from + ">", "RCPT TO:<b@example.test>", "DATA", "~Subject: x|~|~text|."}
}

// way is a way around the rules about incoming mail, or one that is right.
type way struct {
	name  string
	rules string
	from  string // the client's address, "" for 198.51.100.7
	cert  string // what it shows: "", partner, client, other, foreign, expired, self
	steps []string
	more  string // rules that "apply" puts in force
	set   string // settings of the world
	// last is how the last answer begins, stored who sent the messages that came in.
	last, stored string
}

var ways = []way{
	// Spellings.
	{name: "plain", rules: partnerRule, steps: steps(hello, "MAIL FROM:<a@partner.test>"), last: "451-4.7.10 mail from partner.test is taken only over TLS 1.2 or newer"},
	{name: "capitals", rules: partnerRule, steps: steps(hello, content("a@PARTNER.Test")...), last: "503"},
	{name: "final dot", rules: partnerRule, steps: steps(hello, content("a@partner.test.")...), last: "503"},
	{name: "sub-domain", rules: partnerRule, steps: steps(hello, content("a@deep.mail.partner.test")...), last: "503"},
	{name: "quoted local part", rules: partnerRule, steps: steps(hello, content(`"a"@partner.test`)...), last: "503"},
	{name: "at inside quotes", rules: partnerRule, steps: steps(hello, content(`"a@other.test"@partner.test`)...), last: "503"},
	{name: "source route", rules: partnerRule, steps: steps(hello, content("@other.test:a@partner.test")...), last: "503"},
	{name: "percent hack", rules: partnerRule, steps: steps(hello, content("a%other.test@partner.test")...), last: "503"},
	{name: "blanks and no angle brackets", rules: partnerRule, steps: steps(hello, "MAIL FROM: a@partner.test", "RCPT TO:<b@example.test>"), last: "503"},
	{name: "A-label for a rule in Unicode", rules: strings.ReplaceAll(partnerRule, "partner.test", "bücher.test"), steps: steps(hello, content("a@xn--bcher-kva.test")...), last: "503"},
	{name: "Unicode for a rule in A-labels", rules: strings.ReplaceAll(partnerRule, "partner.test", "xn--bcher-kva.test"),
		steps: steps(hello, "MAIL FROM:<a@BÜCHER.test> SMTPUTF8", "RCPT TO:<b@example.test>"), last: "503"},
	{name: "full-width dot", rules: partnerRule, steps: steps(hello, "MAIL FROM:<a@partner．test> SMTPUTF8", "RCPT TO:<b@example.test>"), last: "503"},
	{name: "address in a rule, other case", rules: strings.ReplaceAll(partnerRule, `"partner.test"`, `"Boss@partner.test"`), steps: steps(hello, content("bOSS@partner.test")...), last: "503"},

	// The null sender, by address and by listener.
	{name: "null sender of its address", rules: inboundRule("ip", `match.sender_ip = ["198.51.100.0/24"]`, `match.sender = ["<>", "partner.test"]`), steps: steps(hello, content("")...), last: "503"},
	{name: "null sender, any condition but sender", rules: inboundRule("ip", `match.sender_ip = ["198.51.100.7"]`), steps: steps(hello, content("")...), last: "503"},
	{name: "null sender, certificate by domain", rules: inboundRule("ip", `match.sender_ip = ["198.51.100.7"]`, `require_tls.level = "authenticated"`, `require_tls.refuse = "reject"`),
		set: "ask-clients", cert: "partner", steps: steps(secure, "MAIL FROM:<>"), last: "550-5.7.5 mail of the null sender from 198.51.100.7 is taken only over"},
	{name: "null sender, certificate by list", rules: inboundRule("ip", `match.sender_ip = ["198.51.100.7"]`, `require_tls.level = "authenticated"`, `require_tls.names = ["mail.partner.test"]`, `require_tls.revocation = "off"`),
		set: "ask-clients", cert: "partner", steps: steps(secure, content("")...), last: "250", stored: "<>"},
	{name: "by listener", rules: inboundRule("two", `match.listener = ["two"]`), set: "listener-two", steps: steps(hello, content("x@anybody.test")...), last: "503"},
	{name: "at another listener", rules: inboundRule("two", `match.listener = ["one"]`), set: "listener-two", steps: steps(hello, content("x@anybody.test")...), last: "250", stored: "<x@anybody.test>"},

	// Header and envelope.
	{name: "envelope partner, header other", rules: partnerRule, steps: steps(hello, "MAIL FROM:<a@partner.test>", "RCPT TO:<b@example.test>", "DATA"), last: "503"},
	{name: "envelope other, header partner", rules: partnerRule,
		steps: steps(hello, "MAIL FROM:<a@other.test>", "RCPT TO:<b@example.test>", "DATA", "~From: boss@partner.test|~|~text|."), last: "250", stored: "<a@other.test>"},

	// The order of commands.
	{name: "pipelined", rules: partnerRule, steps: steps(hello, "MAIL FROM:<a@partner.test>|RCPT TO:<b@example.test>|DATA"), last: "503"},
	{name: "BDAT", rules: partnerRule, steps: steps(hello, "MAIL FROM:<a@partner.test>|RCPT TO:<b@example.test>|BDAT 4 LAST|~te"), last: "503"},
	{name: "HELO", rules: partnerRule, steps: steps([]string{"HELO c.test"}, content("a@partner.test")...), last: "503"},
	{name: "a second MAIL", rules: partnerRule, steps: steps(hello, "MAIL FROM:<a@other.test>", "MAIL FROM:<a@partner.test>", "RCPT TO:<b@example.test>", "DATA", "~x: y|~|."), last: "250", stored: "<a@other.test>"},
	{name: "RSET and MAIL again", rules: partnerRule, steps: steps(hello, "MAIL FROM:<a@other.test>", "RCPT TO:<b@example.test>", "RSET", "MAIL FROM:<a@partner.test>"), last: "451"},
	{name: "EHLO and MAIL again", rules: partnerRule, steps: steps(hello, "MAIL FROM:<a@other.test>", "EHLO d.test", "MAIL FROM:<a@partner.test>"), last: "451"},
	{name: "refused, and again", rules: partnerRule, steps: steps(hello, "MAIL FROM:<a@partner.test>", "MAIL FROM:<a@partner.test>", "RCPT TO:<b@example.test>"), last: "503"},
	{name: "after a message of somebody else", rules: partnerRule, steps: steps(steps(hello, content("a@other.test")...), "MAIL FROM:<a@partner.test>"), last: "451", stored: "<a@other.test>"},
	{name: "STARTTLS behind MAIL", rules: partnerRule, steps: steps(hello, "MAIL FROM:<a@other.test>", "STARTTLS", "RCPT TO:<b@example.test>"), last: "503"},
	{name: "STARTTLS behind a refusal", rules: partnerRule, steps: steps(steps(hello, "MAIL FROM:<a@partner.test>", "STARTTLS", "EHLO c.test"), content("a@partner.test")...), last: "250", stored: "<a@partner.test>"},
	{name: "AUTH that fails", rules: partnerRule, steps: steps(secure, "AUTH PLAIN AHVzZXIAd3Jvbmc=", "MAIL FROM:<a@partner.test>", "RCPT TO:<b@elsewhere.test>"), last: "550"},
	{name: "XCLIENT", rules: inboundRule("ip", `match.sender_ip = ["198.51.100.7"]`), steps: steps(hello, "XCLIENT ADDR=192.0.2.99 NAME=own.test", "MAIL FROM:<a@other.test>"), last: "451"},
	{name: "XFORWARD", rules: inboundRule("ip", `match.sender_ip = ["198.51.100.7"]`), steps: steps(hello, "XFORWARD ADDR=192.0.2.99", "MAIL FROM:<a@other.test>"), last: "451"},
	{name: "AUTH parameter of MAIL", rules: partnerRule, steps: steps(secure, "MAIL FROM:<a@partner.test> AUTH=<b@other.test>", "RSET"), last: "250"},

	// Certificates.
	{name: "no certificate", rules: authRule, set: "ask-clients", steps: steps(secure, content("a@partner.test")...), last: "503"},
	{name: "of another CA", rules: authRule, set: "ask-clients", cert: "foreign", steps: steps(secure, content("a@partner.test")...), last: "503"},
	{name: "signed by itself", rules: authRule, set: "ask-clients", cert: "self", steps: steps(secure, content("a@partner.test")...), last: "503"},
	{name: "expired", rules: authRule, set: "ask-clients", cert: "expired", steps: steps(secure, content("a@partner.test")...), last: "503"},
	{name: "of another name", rules: authRule, set: "ask-clients", cert: "other", steps: steps(secure, "MAIL FROM:<a@partner.test>"), last: "451-4.7.5"},
	{name: "of the right name", rules: authRule, set: "ask-clients", cert: "partner", steps: steps(secure, content("a@partner.test")...), last: "250", stored: "<a@partner.test>"},
	{name: "of the right name, for clients alone", rules: authRule, set: "ask-clients", cert: "client", steps: steps(secure, content("a@partner.test")...), last: "250", stored: "<a@partner.test>"},
	{name: "of the domain, for one below", rules: authRule, set: "ask-clients", cert: "partner", steps: steps(secure, content("a@deep.partner.test")...), last: "503"},
	{name: "not asked for", rules: authRule + "refuse = \"reject\"\n", cert: "partner", steps: steps(secure, "MAIL FROM:<a@partner.test>"), last: "451-4.3.0"},
	{name: "roots cannot be read", rules: authRule + "refuse = \"reject\"\ntrust = \"./gone.pem\"\n", set: "ask-clients", cert: "partner", steps: steps(secure, "MAIL FROM:<a@partner.test>"), last: "451"},
	{name: "revocation not known", rules: strings.ReplaceAll(authRule, `"off"`, `"require"`) + "refuse = \"reject\"\n", set: "ask-clients", cert: "partner", steps: steps(secure, "MAIL FROM:<a@partner.test>"), last: "451"},
	{name: "revocation not known, and need not be", rules: strings.ReplaceAll(authRule, `"off"`, `"check"`), set: "ask-clients", cert: "partner", steps: steps(secure, content("a@partner.test")...), last: "250", stored: "<a@partner.test>"},
	{name: "another pin", rules: authRule + "pins = [\"sha256:" + strings.Repeat("0", 64) + "\"]\nrefuse = \"reject\"\n", set: "ask-clients", cert: "partner", steps: steps(secure, "MAIL FROM:<a@partner.test>"), last: "550-5.7.5"},

	// Strength.
	{name: "TLS 1.1", rules: partnerRule, set: "old-tls", cert: "old", steps: steps(secure, content("a@partner.test")...), last: "503"},
	{name: "TLS 1.2 where 1.3 is wanted", rules: partnerRule + "[rule.require_tls]\nmin_tls = \"1.3\"\n", cert: "1.2", steps: steps(secure, content("a@partner.test")...), last: "503"},
	{name: "no hybrid key exchange", rules: partnerRule + "[rule.require_tls]\nkey_exchange = \"hybrid\"\n", cert: "classical", steps: steps(secure, content("a@partner.test")...), last: "503"},
	{name: "hybrid key exchange", rules: partnerRule + "[rule.require_tls]\nkey_exchange = \"hybrid\"\n", steps: steps(secure, content("a@partner.test")...), last: "250", stored: "<a@partner.test>"},
	{name: "128 bits where 256 are wanted", rules: partnerRule + "[rule.require_tls]\nmin_bits = 256\n", cert: "128", steps: steps(secure, content("a@partner.test")...), last: "503"},

	// Rules that change while a session is open.
	{name: "rules come behind EHLO", steps: steps(hello, "apply", "MAIL FROM:<a@partner.test>"), more: partnerRule, last: "451"},
	{name: "rules come behind MAIL", steps: steps(hello, "MAIL FROM:<a@partner.test>", "apply", "RCPT TO:<b@example.test>"), more: partnerRule, last: "451"},
	{name: "rules come behind RCPT", steps: steps(hello, "MAIL FROM:<a@partner.test>", "RCPT TO:<b@example.test>", "apply", "DATA", "~x: y|~|."), more: partnerRule, last: "451"},
	{name: "rules come inside the content", steps: steps(hello, "MAIL FROM:<a@partner.test>", "RCPT TO:<b@example.test>", "DATA", "~x: y", "apply", "~|."), more: partnerRule, last: "451"},
	{name: "rules come between two RCPT", steps: steps(hello, "MAIL FROM:<a@other.test>", "RCPT TO:<boss@example.test>", "apply", "RCPT TO:<b@example.test>", "DATA", "~x: y|~|."),
		more: inboundRule("boss", `match.recipient = ["boss@example.test"]`), last: "451"},
	{name: "equal rules again", rules: partnerRule, more: partnerRule, steps: steps(secure, "MAIL FROM:<a@partner.test>", "apply", "RCPT TO:<b@example.test>", "apply", "DATA", "~x: y|~|."), last: "250", stored: "<a@partner.test>"},
	{name: "rules go behind the refusal", rules: partnerRule, steps: steps(hello, "MAIL FROM:<a@partner.test>", "apply", "RCPT TO:<b@example.test>"), last: "503"},
	{name: "relaying is withdrawn behind MAIL", rules: partnerRule, from: "10.0.0.9", steps: steps(hello, "MAIL FROM:<a@partner.test>", "withdraw", "RCPT TO:<b@example.test>"), last: "451"},

	// Recipients.
	{name: "by recipient, refused at RCPT", rules: inboundRule("boss", `match.recipient = ["boss@example.test"]`), steps: steps(hello, "MAIL FROM:<a@any.test>", "RCPT TO:<BOSS@Example.test>"), last: "451"},
	{name: "by recipient, the others come in", rules: inboundRule("boss", `match.recipient = ["boss@example.test"]`),
		steps: steps(hello, "MAIL FROM:<a@any.test>", "RCPT TO:<boss@example.test>", "RCPT TO:<b@example.test>", "DATA", "~x: y|~|."), last: "250", stored: "<a@any.test>"},
	{name: "by recipient, quoted", rules: inboundRule("boss", `match.recipient = ["boss@example.test"]`), steps: steps(hello, "MAIL FROM:<a@any.test>", `RCPT TO:<"boss"@example.test>`), last: "451"},
	{name: "postmaster without a domain", rules: inboundRule("all", `match.recipient = ["admin@example.test"]`), set: "postmaster", steps: steps(hello, "MAIL FROM:<a@any.test>", "RCPT TO:<postmaster>"), last: "451"},

	// Several rules, trial, end.
	{name: "one defers, one rejects", rules: partnerRule + inboundRule("b", `match.sender_ip = ["0.0.0.0/0"]`, `require_tls.refuse = "reject"`), steps: steps(hello, "MAIL FROM:<a@partner.test>"), last: "451-4.7.10"},
	{name: "both reject", rules: partnerRule + "[rule.require_tls]\nrefuse = \"reject\"\n" + inboundRule("b", `match.sender_ip = ["0.0.0.0/0"]`, `require_tls.refuse = "reject"`), steps: steps(hello, "MAIL FROM:<a@partner.test>"),
		last: "550-5.7.10 mail from partner.test is taken only over TLS 1.2 or newer\r\n550-5.7.10 this connection has no TLS: say STARTTLS before MAIL\r\n550 5.7.10 ask admin@example.test; the reason is starttls-not-offered"},
	{name: "a stricter rule for all", rules: inboundRule("all", `require_tls.min_tls = "1.3"`) + partnerRule, cert: "1.2", steps: steps(secure, content("a@partner.test")...), last: "503"},
	{name: "on trial", rules: strings.Replace(partnerRule, "action", "mode = \"test\"\naction", 1), steps: steps(hello, content("a@partner.test")...), last: "250", stored: "<a@partner.test> trial partner starttls-not-offered"},
	{name: "on trial beside one in force", rules: strings.Replace(partnerRule, "action", "mode = \"test\"\naction", 1) + inboundRule("b", `match.sender_ip = ["0.0.0.0/0"]`), steps: steps(hello, content("a@partner.test")...), last: "503"},
	{name: "expired", rules: strings.Replace(partnerRule, "action", "expires = 1999-01-01\naction", 1), steps: steps(hello, content("a@partner.test")...), last: "250", stored: "<a@partner.test>"},
	{name: "disabled", rules: strings.Replace(partnerRule, `"inbound"`, `"disabled"`, 1), steps: steps(hello, content("a@partner.test")...), last: "250", stored: "<a@partner.test>"},

	// Our own side is not incoming mail.
	{name: "of a relay network", rules: inboundRule("all"), from: "10.0.0.9", steps: steps(hello, content("a@partner.test")...), last: "250", stored: "<a@partner.test>"},
	{name: "logged in", rules: inboundRule("all", `require_tls.min_bits = 256`), steps: steps(steps(secure, "AUTH PLAIN AHVzZXIAc2VjcmV0"), content("a@partner.test")...), last: "250", stored: "<a@partner.test>"},
}

// TestWaysAroundRulesAboutIncomingMailFail plays each way. Whatever is said, a message that the rules forbid is not
// stored, and one that is right is.
func TestWaysAroundRulesAboutIncomingMailFail(t *testing.T) {
	for _, c := range ways {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.play(t) })
		})
	}
}

func (c *way) play(t *testing.T) {
	w := newWorld(t, c.set, "")
	view := w.cfg.InForce()
	var now atomic.Pointer[inforce.View]
	apply := func(text string) {
		set, err := rules.Parse("rules.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		next := &inforce.View{Number: 1, Rules: set, Revision: 7, Table: view.Table}
		if old := now.Load(); old != nil {
			next.Number = old.Number + 1
		}
		now.Store(next)
	}
	apply(c.rules)
	w.reload(func(cfg *intake.Config) {
		cfg.InForce = now.Load
		cfg.Admission = &admission.Judge{Contact: "admin@example.test", Roots: func(...string) (map[string]*x509.CertPool, error) {
			return map[string]*x509.CertPool{"public": w.ca.Pool()}, nil
		}}
	})
	from := c.from
	if from == "" {
		from = "198.51.100.7"
	}
	s := &stranger{t: t, nc: w.dial(from), tls: c.client(w.ca)}
	s.in = bufio.NewReader(s.nc)
	s.hear()
	for _, step := range c.steps {
		switch step {
		case "apply":
			synctest.Wait()
			apply(c.more)
		case "withdraw":
			w.reload(func(cfg *intake.Config) { cfg.RelayNetworks = []netip.Prefix{} })
		default:
			s.say(step)
		}
	}
	if !strings.HasPrefix(s.last, c.last) {
		t.Errorf("the last answer is %q, want %q", s.last, c.last)
	}
	s.nc.Close()
	w.close()
	if got := cameIn(t, w); got != c.stored {
		t.Errorf("stored %q, want %q", got, c.stored)
	}
	if strings.HasPrefix(c.last, "451") && !strings.Contains(strings.Join(w.events, "\n"), "fell short") {
		t.Errorf("nobody was told: %q", w.events)
	}
}

// client is what the stranger shows in a handshake.
func (c *way) client(ca *pki.CA) *tls.Config {
	cfg := &tls.Config{RootCAs: ca.Pool(), ServerName: "gw.test"}
	o := pki.Options{Names: []string{"mail.partner.test"}, EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	switch c.cert {
	case "", "foreign":
	case "client":
		o.EKU = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		o.Intermediates = []pki.Intermediate{{}}
	case "other":
		o.Names = []string{"mail.other.test"}
	case "expired":
		o.NotAfter = time.Now().Add(-time.Hour)
	case "self":
		o.SelfSigned = true
	case "old":
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS11, tls.VersionTLS11
	case "1.2":
		cfg.MaxVersion = tls.VersionTLS12
	case "128":
		cfg.MaxVersion, cfg.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	case "classical":
		cfg.CurvePreferences = []tls.CurveID{tls.X25519}
	}
	if c.cert == "foreign" {
		ca = pki.New(time.Now(), "Foreign")
	}
	if c.cert != "" {
		issued := ca.Issue(o).TLS
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &issued, nil }
	}
	return cfg
}

// cameIn names the senders of what came in, and the trials it did not pass.
func cameIn(t *testing.T, w *world) string {
	var out []string
	seen := map[queue.ID]bool{}
	for r, err := range w.store.List(context.Background(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if m := r.Message; !seen[m.ID] {
			seen[m.ID] = true
			line := "<" + m.Envelope.From.String() + ">"
			for _, trial := range m.Inbound.Trials {
				line += fmt.Sprintf(" trial %s %s", trial.Rule, trial.Reason)
			}
			out = append(out, line)
		}
	}
	return strings.Join(out, " ")
}

// TestARefusalSaysWhatToDo: what was missing, what was shown, whom to ask; the event has who, host, offer, rule, reason.
func TestARefusalSaysWhatToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "ask-clients", authRule)
		var told []event.FellShort
		w.reload(func(cfg *intake.Config) {
			cfg.Admission = &admission.Judge{Contact: "admin@example.test", Roots: func(...string) (map[string]*x509.CertPool, error) {
				return nil, errors.New("cannot read")
			}}
			cfg.Sink = sinkFunc(func(e event.Event) {
				if e, ok := e.(event.FellShort); ok {
					told = append(told, e)
				}
			})
		})
		c := way{cert: "other"}
		s := &stranger{t: t, nc: w.dial("198.51.100.7"), tls: c.client(w.ca)}
		s.in = bufio.NewReader(s.nc)
		s.hear()
		for _, step := range steps(secure, "MAIL FROM:<a@partner.test>") {
			s.say(step)
		}
		for _, want := range []string{"mail from partner.test is taken only over TLS 1.2 or newer with a certificate of a public CA for partner.test or *.partner.test",
			"this connection has TLSv1.3 TLS_AES_128_GCM_SHA256 X25519MLKEM768 and the certificate of CN=mail.other.test", "ask admin@example.test; the reason is policy-unavailable"} {
			if !strings.Contains(s.last, want) {
				t.Errorf("%q has no %q", s.last, want)
			}
		}
		s.nc.Close()
		w.close()
		if len(told) != 1 {
			t.Fatalf("%+v", told)
		}
		e := told[0]
		if e.From.String() != "a@partner.test" || e.Client.String() != "198.51.100.7" || e.Helo != "c.test" || e.TLS == nil || e.Names[0] != "mail.other.test" ||
			e.Rules[0] != "partner" || e.Reason != "policy-unavailable" || !e.Later {
			t.Errorf("%+v", e)
		}
	})
}

type sinkFunc func(event.Event)

func (f sinkFunc) Emit(e event.Event) { f(e) }

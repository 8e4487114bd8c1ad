package intake_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/inforce"
	"postern/internal/gateway/intake"
	"postern/internal/gateway/route"
	"postern/internal/lab/pki"
	"postern/internal/lab/testkit/dialog"
	"postern/internal/lab/testkit/memnet"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/rules"
	"postern/internal/queue"
	"postern/internal/queue/memstore"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
)

// world is a gateway's receiving half over a network in memory: example.test and strict.test are served, 10.0.0.0/8 may
// relay. Make it inside the bubble.
type world struct {
	cfg    intake.Config // of the Intake in force
	in     atomic.Pointer[intake.Intake]
	trusts atomic.Bool // the CA of clients is trusted
	t      *testing.T
	net    *memnet.Network
	ca     *pki.CA
	store  *faultyStore
	srv    *smtpserver.Server
	done   chan struct{}

	mu     sync.Mutex // guards events
	events []string
}

func (w *world) Emit(e event.Event) {
	var line string
	switch e := e.(type) {
	case event.Accepted:
		line = fmt.Sprintf("accepted %s %s from=<%s> recipients=%d size=%d", e.Leg, e.MessageID, e.From, e.Recipients, e.Size)
	case event.Refused:
		line = fmt.Sprintf("refused %s <%s> <%s> %d %s", e.Command, e.From, e.To, e.Code, e.Status)
	case event.FellShort:
		line = fmt.Sprintf("fell short %s trial=%v %s", strings.Join(e.Rules, ","), e.Trial, e.Reason)
	case event.LoggedIn:
		line = fmt.Sprintf("login %s %v", e.User, e.OK)
	case event.ClientPlain:
		line = fmt.Sprintf("client %s %s rules=%s", e.Kind, e.Client, strings.Join(e.Rules, ","))
	case event.RuleActed:
		line = fmt.Sprintf("rule %s <%s> stored=%v test=%v %s", e.Rule, e.To, e.Message != "", e.Test, e.Text)
	case event.Warned:
		line = "warned " + e.What
	default:
		return
	}
	w.note(line)
}

func (w *world) note(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, line)
}

// faultyStore fails where it is told to.
type faultyStore struct {
	*memstore.Store
	draft, write, accept error
	drafts               int // open ones
}

type faultyDraft struct {
	queue.Draft
	s     *faultyStore
	ended bool
}

func (s *faultyStore) NewDraft(ctx context.Context) (queue.Draft, error) {
	if s.draft != nil {
		return nil, s.draft
	}
	d, err := s.Store.NewDraft(ctx)
	s.drafts++
	return &faultyDraft{Draft: d, s: s}, err
}

func (d *faultyDraft) Write(p []byte) (int, error) {
	if d.s.write != nil && d.Size() > 1000 {
		return 0, d.s.write
	}
	return d.Draft.Write(p)
}

func (d *faultyDraft) Discard() error {
	if !d.ended {
		d.ended = true
		d.s.drafts--
	}
	return d.Draft.Discard()
}

func (s *faultyStore) Accept(ctx context.Context, sub *queue.Submission) error {
	if s.accept != nil {
		return s.accept
	}
	d := sub.Body.(*faultyDraft)
	sub.Body = d.Draft
	err := s.Store.Accept(ctx, sub)
	if err == nil && !d.ended {
		d.ended = true
		s.drafts--
	}
	return err
}

const at = "192.0.2.1:25"

func newWorld(t *testing.T, settings, ruleText string) *world {
	t.Helper()
	w := &world{t: t, net: memnet.New(), ca: pki.New(time.Now(), "Test"), done: make(chan struct{})}
	w.store = &faultyStore{Store: memstore.New()}
	table, err := route.New(route.Config{
		Hostname: mail.MustDomain("gw.test"),
		Own: []route.Own{
			{Domain: mail.MustDomain("example.test"), To: []route.HostPort{{Host: mail.MustDomain("mail.internal")}}},
			{Domain: mail.MustDomain("strict.test"), To: []route.HostPort{{Host: mail.MustDomain("mail.strict")}},
				Trust: "ca.pem", Require: policy.Authenticated},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	set, ruleErr := rules.Parse("rules.toml", []byte(ruleText))
	if ruleErr != nil {
		t.Fatal(ruleErr)
	}
	cfg := intake.Config{
		Hostname: mail.MustDomain("gw.test"), RelayNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Authenticate: func(user, password string) bool { return user == "user" && password == "secret" },
		InForce: func() *inforce.View {
			return &inforce.View{Number: 9, Rules: set, Revision: 7, Table: table, Err: ruleErr}
		},
		Store: w.store, Sink: w,
		Wake:   func(_ *queue.Message, site queue.SiteKey, due time.Time) { w.note("wake " + string(site)) },
		Random: func() uint32 { return 1 },
	}
	server := smtpserver.Config{Hostname: "gw.test", Auth: true}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{w.ca.Issue(pki.Options{Names: []string{"gw.test"}}).TLS}}
	for _, s := range strings.Fields(settings) {
		w.set(s, &cfg, &server, &ruleErr)
	}
	cfg.Current, cfg.Logins = w.in.Load, intake.NewLogins()
	w.cfg = cfg
	w.reload(func(*intake.Config) {})
	server.NewSession = func(ctx context.Context, c *smtpserver.Conn) (smtpserver.Session, *smtp.Reply) {
		return w.in.Load().NewSession(ctx, c)
	}
	server.Trace = w.in.Load().Trace("test")
	server.Own = func(c smtpserver.ConnInfo) bool { return w.in.Load().Own(c) }
	server.Bare = func(c smtpserver.ConnInfo) smtpserver.BareEnds { return w.in.Load().Bare(c) }
	if w.srv, err = smtpserver.New(server); err != nil {
		t.Fatal(err)
	}
	l, err := w.net.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(w.done)
		if err := w.srv.Serve(l); err != nil {
			t.Error(err)
		}
	}()
	return w
}

// reload puts a configuration in force, as SIGHUP does.
func (w *world) reload(change func(*intake.Config)) {
	w.t.Helper()
	change(&w.cfg)
	in, err := intake.New(w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.in.Store(in)
}

func (w *world) set(setting string, cfg *intake.Config, server *smtpserver.Config, ruleErr *error) {
	switch setting {
	case "rules-broken":
		*ruleErr = errors.New("cannot read the rules")
	case "draft-full":
		w.store.draft = queue.ErrFull
	case "write-full":
		w.store.write = fmt.Errorf("writing: %w", queue.ErrFull)
	case "accept-broken":
		w.store.accept = queue.ErrBroken
	case "hops-2":
		cfg.Hops = 2
	case "logins-2":
		cfg.LoginFailures = 2
	case "no-memory":
		cfg.Memory = smtpserver.NewMemory(-1)
		server.Memory = cfg.Memory
	case "header-1m":
		cfg.HeaderSize = 1 << 20
	case "header-100":
		cfg.HeaderSize = 100
	case "postmaster":
		cfg.Postmaster = mail.MustAddress("admin@example.test")
	case "no-notice":
		cfg.DelayNotice = -1
	case "lifetime-1h":
		cfg.Lifetime = time.Hour
	case "bare-normalize":
		cfg.RelayBare = smtpserver.ConvertBare
	case "relay-tls":
		cfg.RelayTLS = true
	case "ask-clients":
		server.TLS.ClientAuth = tls.RequestClientCert
	case "old-tls":
		server.TLS.MinVersion = tls.VersionTLS10
	case "listener-two":
		server.Listener = "two"
	case "bindings":
		cfg.Bindings = testBindings()
	case "relay-certificates":
		cfg.RelayCertificates = true
		server.TLS.ClientAuth = tls.RequestClientCert
		w.trusts.Store(true)
		server.VerifyClient = func(chain []*x509.Certificate) bool {
			return w.trusts.Load() && intake.VerifyClient(func() *x509.CertPool { return w.ca.Pool() })(chain)
		}
	default:
		w.t.Fatalf("unknown setting %q", setting)
	}
}

func (w *world) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := w.srv.Shutdown(ctx); err != nil {
		w.t.Error(err)
	}
	<-w.done
	if w.store.drafts != 0 {
		w.t.Errorf("%d drafts left behind", w.store.drafts)
	}
}

func (w *world) dial(from string) net.Conn {
	nc, err := w.net.Dialer(from).DialContext(context.Background(), "tcp", at)
	if err != nil {
		w.t.Fatal(err)
	}
	return nc
}

// queued describes the deliveries, oldest first.
func (w *world) queued() string {
	var lines []string
	for r, err := range w.store.List(context.Background(), queue.Filter{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		line := fmt.Sprintf("%s %s at %s channel=%v", r.State, r.Recipient.Address, r.NextHop, r.Requirement.Channel)
		if r.Requirement.Aim != 0 {
			line += fmt.Sprintf(" aim=%v", r.Requirement.Aim)
		}
		if r.Requirement.RequireTLS {
			line += " requiretls"
		}
		line += fmt.Sprintf(" expires=+%v deadline=+%v", r.ExpiresAt.Sub(r.AcceptedAt), r.Deadline.Sub(r.AcceptedAt))
		if len(r.Rules) > 0 {
			line += fmt.Sprintf(" rules=%s matched=%v", strings.Join(r.Rules, ","), r.Matched)
		}
		if len(r.Tested) > 0 {
			line += " tested=" + strings.Join(r.Tested, ",")
		}
		for _, e := range r.Effects {
			line += fmt.Sprintf(" %s=%s", e.Kind, e.Rule)
			if e.Test {
				line += "?"
			}
		}
		if r.Recipient.Notify != 0 || r.Recipient.ORCPT != "" {
			line += fmt.Sprintf(" notify=%d orcpt=%s", r.Recipient.Notify, r.Recipient.ORCPT)
		}
		lines = append(lines, line)
	}
	slices.Reverse(lines)
	return strings.Join(lines, "\n")
}

// message returns the facts and the text of the only message.
func (w *world) message() (facts, text string) {
	for r, err := range w.store.List(context.Background(), queue.Filter{Limit: 1}) {
		if err != nil {
			w.t.Fatal(err)
		}
		m := r.Message
		body, err := w.store.Open(context.Background(), m.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		content, _ := io.ReadAll(body)
		if int64(len(content)) != m.Size {
			w.t.Errorf("stored %d octets, Size is %d", len(content), m.Size)
		}
		facts = fmt.Sprintf("message-id=%s 8bit=%v utf8-header=%v revision=%d body=%d protocol=%s user=%s", m.MessageID,
			m.EightBit, m.HeaderUTF8, m.RulesRevision, int(m.Size)-m.HeaderSize, m.Inbound.Protocol, m.Inbound.User)
		if m.Envelope.RequireTLS || m.Waives {
			facts += fmt.Sprintf(" requiretls=%v waives=%v", m.Envelope.RequireTLS, m.Waives)
		}
		return facts, strings.ReplaceAll(string(content), "\r\n", "\n")
	}
	return "", ""
}

// TestWorlds plays testdata/*.txtar. Sections: "settings", "client" (its address, and "certificate"), "rules",
// "dialog", and what must be so afterwards: "queue", "facts", "message", "events".
func TestWorlds(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no worlds", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, err := dialog.Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { play(t, script) })
		})
	}
}

func play(t *testing.T, script *dialog.Script) {
	w := newWorld(t, script.Sections["settings"], script.Sections["rules"])
	address, certificate, _ := strings.Cut(strings.TrimSpace(script.Sections["client"]), " ")
	if address == "" {
		address = "198.51.100.7"
	}
	p := &dialog.Player{Side: dialog.Client, TLS: func(nc net.Conn) (net.Conn, error) {
		cfg := &tls.Config{RootCAs: w.ca.Pool(), ServerName: "gw.test"}
		if certificate != "" {
			issuer := w.ca
			if certificate == "foreign" {
				issuer = pki.New(time.Now(), "Foreign")
			}
			cfg.Certificates = []tls.Certificate{issuer.Issue(pki.Options{Names: []string{"client.test"},
				EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}).TLS}
		}
		tc := tls.Client(nc, cfg)
		return tc, tc.Handshake()
	}}
	if err := p.Play(script, w.dial(address)); err != nil {
		t.Errorf("%s\n%v", script.Comment, err)
	}
	w.close()
	facts, text := w.message()
	for _, s := range []struct{ section, got string }{
		{"queue", w.queued()}, {"facts", facts}, {"message", text}, {"events", strings.Join(w.events, "\n")},
	} {
		want, ok := script.Sections[s.section]
		if s.section == "queue" && !ok {
			ok = true // nothing may be there
		}
		if ok && strings.TrimSpace(s.got) != strings.TrimSpace(want) {
			t.Errorf("%s\n%s:\n%s\nwant\n%s", script.Comment, s.section, s.got, want)
		}
	}
}

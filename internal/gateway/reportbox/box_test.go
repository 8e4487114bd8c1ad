package reportbox_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"postern/internal/dns"
	"postern/internal/event"
	"postern/internal/gateway/reportbox"
	"postern/internal/history/tlsreports"
	"postern/internal/lab/testkit/zone"
	"postern/internal/mail"
	"postern/internal/policy/tlsrpt"
	"postern/internal/queue/memstore"
)

var stranger = netip.MustParseAddr("192.0.2.77")

// world is a box for home.test and other.test, at gw.hoster.test.
type world struct {
	t     *testing.T
	box   *reportbox.Box
	book  *tlsreports.Book
	names reportbox.Names
	mu    sync.Mutex
	told  []event.ReportReceived
}

func (w *world) Emit(e event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r, ok := e.(event.ReportReceived); ok {
		w.told = append(w.told, r)
	}
}

func newWorld(t *testing.T, names reportbox.Names) *world {
	w := &world{t: t, names: names, book: tlsreports.NewBook(memstore.New(), tlsreports.Room{})}
	w.box = reportbox.New(reportbox.Config{Book: w.book, Names: names, Hostname: mail.MustDomain("gw.hoster.test"), Sink: w, Domains: func() int { return 2 },
		Ours: func(d mail.Domain) bool { return d.String() == "home.test" || d.String() == "other.test" }})
	return w
}

// report is one about a domain.
func report(id, domain string, failed int64) tlsrpt.Report {
	p := tlsrpt.Policy{Type: tlsrpt.TypeSTS, Domain: domain, Succeeded: 10, Failed: failed}
	if failed > 0 {
		p.Failures = []tlsrpt.Failure{{Result: tlsrpt.CertificateExpired, Sessions: failed, SendingIP: stranger}}
	}
	return tlsrpt.Report{Organization: "Sender", Contact: "a@sender.test", ID: id, Policies: []tlsrpt.Policy{p},
		Start: time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 11, 28, 23, 59, 59, 0, time.UTC)}
}

func letter(r tlsrpt.Report) []byte {
	m := tlsrpt.Message{From: mail.MustAddress("reports@sender.test"), To: mail.MustAddress("tls@home.test"), Submitter: mail.MustDomain("sender.test"),
		Domain: mail.MustDomain("home.test"), Report: r, ID: "q1", Now: time.Now()}
	return m.Compose()
}

func sign(t *testing.T, text []byte, domain string, key crypto.Signer, change ...func(*dkim.SignOptions)) []byte {
	t.Helper()
	options := &dkim.SignOptions{Domain: domain, Selector: "s", Signer: key, HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed}
	for _, c := range change {
		c(options)
	}
	var out bytes.Buffer
	if err := dkim.Sign(&out, bytes.NewReader(text), options); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// failing answers for some names with an error.
type failing struct {
	reportbox.Names
	kind dns.Kind
}

func (f failing) TXT(_ context.Context, name mail.Domain) (dns.TXTAnswer, error) {
	return dns.TXTAnswer{}, &dns.Error{Kind: f.kind, Name: name, Type: "TXT"}
}

// Each row is a signature of the field; want is the signer, or words of why there is none.
func TestWhoseSignatureHolds(t *testing.T) {
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	weak, _ := rsa.GenerateKey(rand.Reader, 1024)
	pub, edKey, _ := ed25519.GenerateKey(rand.Reader)
	spki := func(k *rsa.PrivateKey) string {
		der, _ := x509.MarshalPKIXPublicKey(&k.PublicKey)
		return base64.StdEncoding.EncodeToString(der)
	}
	record := func(tags string) string { return tags + "p=" + spki(key) }
	plain := letter(report("1", "home.test", 0))
	for _, c := range []struct {
		name, record, want string
		text               func() []byte
	}{
		{"as everybody has it", record("v=DKIM1; k=rsa; "), "sender.test", func() []byte { return sign(t, plain, "sender.test", key) }},
		{"a key for reports alone (RFC 8460 §3)", record("v=DKIM1; k=rsa; s=tlsrpt; "), "sender.test", func() []byte { return sign(t, plain, "sender.test", key) }},
		{"a key for mail and reports", record("v=DKIM1; s=email:tlsrpt; "), "sender.test", func() []byte { return sign(t, plain, "sender.test", key) }},
		{"a key for something else", record("v=DKIM1; s=other; "), "inappropriate service", func() []byte { return sign(t, plain, "sender.test", key) }},
		{"a key that is a test", record("v=DKIM1; t=y; "), "marked as a test", func() []byte { return sign(t, plain, "sender.test", key) }},
		{"a key that was taken back", "v=DKIM1; p=", "revoked", func() []byte { return sign(t, plain, "sender.test", key) }},
		{"no key", "", "no such key", func() []byte { return sign(t, plain, "sender.test", key) }},
		{"Ed25519", "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(pub), "sender.test", func() []byte { return sign(t, plain, "sender.test", edKey) }},
		{"1024 bits, as many still have", "v=DKIM1; p=" + spki(weak), "sender.test", func() []byte { return sign(t, plain, "sender.test", weak) }},
		{"nobody signed", record("v=DKIM1; "), "nobody signed it", func() []byte { return plain }},
		{"somebody changed the report on the way", record("v=DKIM1; "), "body hash", func() []byte { return append(sign(t, plain, "sender.test", key), "more\r\n"...) }},
		{"another's key", record("v=DKIM1; "), "did not verify", func() []byte {
			other, _ := rsa.GenerateKey(rand.Reader, 2048)
			return sign(t, plain, "sender.test", other)
		}},
		{"a length that leaves room for more", record("v=DKIM1; "), "length tag", func() []byte {
			return bytes.Replace(sign(t, plain, "sender.test", key), []byte("DKIM-Signature: "), []byte("DKIM-Signature: l=1; "), 1)
		}},
		{"it has run out", record("v=DKIM1; "), "expired", func() []byte {
			return sign(t, plain, "sender.test", key, func(o *dkim.SignOptions) { o.Expiration = time.Now().Add(-time.Hour) })
		}},
		{"a mailing list signed too", record("v=DKIM1; "), "sender.test", func() []byte { return sign(t, sign(t, plain, "sender.test", key), "list.test", key) }},
		{"the list alone", record("v=DKIM1; "), "list.test", func() []byte { return sign(t, plain, "list.test", key) }},
	} {
		z := ""
		if c.record != "" {
			for _, domain := range []string{"sender.test", "list.test"} {
				z += fmt.Sprintf("s._domainkey.%s TXT %q\n", domain, c.record)
			}
		}
		signer, why, err := reportbox.Signature(t.Context(), zone.New(t, z), c.text(), "sender.test")
		if err != nil || signer != c.want && (signer != "" || !strings.Contains(why, c.want)) {
			t.Errorf("%s: %q, %q, %v, want %q", c.name, signer, why, err, c.want)
		}
	}
	for _, kind := range []dns.Kind{dns.ServFail, dns.Timeout, dns.Refused, dns.Bogus, dns.Malformed} {
		if _, _, err := reportbox.Signature(t.Context(), failing{kind: kind}, sign(t, plain, "sender.test", key)); !errors.Is(err, reportbox.ErrUnknown) {
			t.Errorf("%v: %v", kind, err)
		}
	}
}

// together puts reports into one mail.
func together(reports ...tlsrpt.Report) []byte {
	var b strings.Builder
	b.WriteString("From: a@sender.test\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n")
	for _, r := range reports {
		fmt.Fprintf(&b, "--x\r\nContent-Type: application/tlsrpt+json\r\n\r\n%s\r\n", r.JSON())
	}
	return []byte(b.String() + "--x--\r\n")
}

func TestAllReportsOfOneMailAreKept(t *testing.T) {
	w := newWorld(t, zone.New(t, ""))
	mail := func(reports ...tlsrpt.Report) error {
		_, err := w.box.Mail(t.Context(), together(reports...), stranger)
		return err
	}
	if err := mail(report("1", "home.test", 1), report("2", "other.test", 0), report("3", "strange.test", 0)); err != nil {
		t.Fatal(err)
	}
	if err := mail(report("4", "strange.test", 1), report("5", "strange.test", 0)); !errors.Is(err, reportbox.ErrNoReport) {
		t.Error("reports about nobody of us are kept", err)
	}
	a, b := report("6", "home.test", 0), report("7", "home.test", 0)
	for i, want := range []int{201, 200} {
		if code, text := w.box.Posted(t.Context(), append(a.JSON(), b.JSON()...), stranger); code != want {
			t.Errorf("POST %d: %d %s", i, code, text)
		}
	}
	list, _, err := w.book.List(t.Context(), tlsreports.Query{})
	kept := ""
	for _, r := range list {
		kept += r.ReportID + " "
	}
	if err != nil || len(list) != 4 || strings.ContainsAny(kept, "345") {
		t.Error(kept, err)
	}
	told := map[string]int{}
	for _, e := range w.told {
		told[string(e.Result)]++
	}
	if told[string(event.ReportKept)] != 4 || told[string(event.ReportRefused)] != 2 || told[string(event.ReportCopy)] != 2 {
		t.Error(told)
	}
}

func TestReportsAreKept(t *testing.T) {
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	der, _ := x509.MarshalPKIXPublicKey(&key.PublicKey)
	w := newWorld(t, zone.New(t, "s._domainkey.sender.test TXT \"v=DKIM1; p="+base64.StdEncoding.EncodeToString(der)+"\"\n"))
	mails := func(text []byte) (tlsreports.Added, error) { return w.box.Mail(t.Context(), text, stranger) }
	signed, err := mails(sign(t, letter(report("1", "home.test", 3)), "sender.test", key))
	if err != nil || signed.Copy || !signed.News {
		t.Fatal(signed, err)
	}
	if again, err := mails(sign(t, letter(report("1", "home.test", 3)), "sender.test", key)); err != nil || !again.Copy || again.ID != signed.ID {
		t.Error(again, err)
	}
	if forged, err := mails(letter(report("1", "home.test", 9000))); err != nil || !forged.Copy {
		t.Error("a report without a signature stands beside the one with", forged, err)
	}
	unsigned, err := mails(letter(report("2", "mail.home.test", 1)))
	if err != nil || unsigned.News {
		t.Error(unsigned, err)
	}
	if real, err := mails(sign(t, letter(report("2", "mail.home.test", 1)), "sender.test", key)); err != nil || !real.Replaced || real.News {
		t.Error("one with a signature does not take the place of the one without", real, err)
	}
	posted := report("3", "home.test", 0)
	if code, text := w.box.Posted(t.Context(), posted.Packed(), stranger); code != 201 {
		t.Error(code, text)
	}
	if code, text := w.box.Posted(t.Context(), posted.JSON(), stranger); code != 200 {
		t.Error(code, text)
	}
	ours := report("4", "gw.hoster.test", 1)
	if code, text := w.box.Posted(t.Context(), ours.JSON(), stranger); code != 201 {
		t.Error("a report about our own name", code, text)
	}
	list, _, err := w.book.List(t.Context(), tlsreports.Query{})
	if err != nil || len(list) != 4 {
		t.Fatal(len(list), err)
	}
	for _, r := range list {
		if (r.Signer == "sender.test") != (r.ReportID == "1" || r.ReportID == "2") || r.Signer == "" && r.Unsigned == "" {
			t.Errorf("%s is signed by %q, %q", r.ReportID, r.Signer, r.Unsigned)
		}
		want := map[string]string{"1": "home.test", "2": "home.test", "3": "home.test", "4": ""}[r.ReportID]
		if len(r.Parts) != 1 || r.Parts[0].Domain != want {
			t.Errorf("%s is about %+v", r.ReportID, r.Parts)
		}
	}
	if got, doc, err := w.book.Get(t.Context(), signed.ID); err != nil || got.Copies != 2 || doc.Policies[0].Failed != 3 {
		t.Error(got, doc, err)
	}
}

// Whatever is no report about us is left to whoever asked, and told of.
func TestWhatIsNoReportIsLeftAlone(t *testing.T) {
	w := newWorld(t, zone.New(t, ""))
	for name, text := range map[string]string{
		"a letter":               "From: a@b.test\r\nSubject: your reports\r\n\r\nHello, they do not arrive.\r\n",
		"a DMARC report":         "From: a@b.test\r\nContent-Type: application/gzip; name=\"x.xml.gz\"\r\n\r\n<?xml version=\"1.0\"?><feedback/>\r\n",
		"a report about others":  string(letter(report("1", "elsewhere.test", 0))),
		"a name that is like us": string(letter(report("1", "nothome.test", 0))),
		"a bounce":               "From: <>\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n",
		"nothing":                "\r\n",
	} {
		taken, no := w.box.Answer(t.Context(), []byte(text), stranger)
		if taken || no != nil || len(w.told) > 0 && w.told[len(w.told)-1].Result != event.ReportRefused {
			t.Errorf("%s: taken %v, %v", name, taken, no)
		}
	}
	for name, body := range map[string]string{"nothing": "", "XML": "<x/>", "others": string(report("1", "elsewhere.test", 0).JSON()), "cut off": string(report("1", "home.test", 0).JSON()[:50]),
		"control characters": "\x1b[2J"} {
		if code, text := w.box.Posted(t.Context(), []byte(body), stranger); code != 400 || len(text) < 20 || strings.ContainsAny(text, "\x1b") {
			t.Errorf("%s: %d %q", name, code, text)
		}
	}
	if list, _, err := w.book.List(t.Context(), tlsreports.Query{}); err != nil || len(list) > 0 {
		t.Error(list, err)
	}
}

// slow answers for no key before it is told to.
type slow struct {
	reportbox.Names
	asked, answer chan struct{}
}

func (s slow) TXT(ctx context.Context, name mail.Domain) (dns.TXTAnswer, error) {
	s.asked <- struct{}{}
	<-s.answer
	return s.Names.TXT(ctx, name)
}

// Whose keys are slow is in nobody's way.
func TestSlowKeysAreInNobodysWay(t *testing.T) {
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	names := slow{zone.New(t, ""), make(chan struct{}), make(chan struct{})}
	w := newWorld(t, names)
	done := make(chan error)
	go func() {
		_, err := w.box.Mail(t.Context(), sign(t, letter(report("1", "home.test", 0)), "sender.test", key), stranger)
		done <- err
	}()
	<-names.asked
	if code, text := w.box.Posted(t.Context(), report("2", "home.test", 0).JSON(), stranger); code != 201 {
		t.Error(code, text)
	}
	close(names.answer)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A flood of a stranger ends at its bound, and does not touch what is signed.
func TestAFlood(t *testing.T) {
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	der, _ := x509.MarshalPKIXPublicKey(&key.PublicKey)
	w := newWorld(t, zone.New(t, "s._domainkey.sender.test TXT \"v=DKIM1; p="+base64.StdEncoding.EncodeToString(der)+"\"\n"))
	real, err := w.box.Mail(t.Context(), sign(t, letter(report("real", "home.test", 3)), "sender.test", key), stranger)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[int]int{}
	for i := range reportbox.PerClient + 20 {
		code, _ := w.box.Posted(t.Context(), report(fmt.Sprint(i), "home.test", 1).JSON(), stranger)
		codes[code]++
	}
	if codes[201] != reportbox.PerClient || codes[429] != 20 {
		t.Error(codes)
	}
	if code, _ := w.box.Posted(t.Context(), report("other", "home.test", 1).JSON(), netip.MustParseAddr("192.0.2.78")); code != 201 {
		t.Error("somebody else is refused", code)
	}
	if taken, no := w.box.Answer(t.Context(), letter(report("m", "home.test", 1)), stranger); taken || no == nil || no.Code != 452 {
		t.Error(taken, no)
	}
	if _, _, err := w.book.Get(t.Context(), real.ID); err != nil {
		t.Error(err)
	}
}

// Whatever comes, nothing panics.
func FuzzSignature(f *testing.F) {
	f.Add([]byte("DKIM-Signature: v=1; a=rsa-sha256; d=sender.test; s=s; h=from; bh=x; b=y\r\nFrom: a@b\r\n\r\nx"))
	f.Add([]byte("DKIM-Signature: v=1; a=; d=; s=; h=from; bh=; b=; l=; t=; x=; q=; c=/\r\nDKIM-Signature: ;\r\nDKIM-Signature:\r\nFrom: x\r\n\r\n"))
	f.Add([]byte(":\r\n"))
	f.Add([]byte("DKIM-Signature: v=1; d=a..b; s=%00; h=from:from; bh=AA==; b=AA==; a=rsa-sha256\r\n folded\r\n\r\n"))
	names := zone.New(f, "s._domainkey.sender.test TXT \"v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n")
	f.Fuzz(func(t *testing.T, text []byte) {
		if signer, _, _ := reportbox.Signature(t.Context(), names, text); signer != "" {
			t.Errorf("%q is signed by %s", text, signer)
		}
	})
}

package acceptance

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"postern/internal/dns/resolver"
	"postern/internal/history/tlscounts"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy/tlsrpt"
	"postern/internal/queue/sqlstore"
	"postern/test/harness"
)

// reportLine is what is told of one policy: "type domain succeeded/failed result code xN ...".
func reportLine(p *tlsrpt.Policy) string {
	text := fmt.Sprintf("%s %s %d/%d", p.Type, p.Domain, p.Succeeded, p.Failed)
	for _, f := range p.Failures {
		text += fmt.Sprintf(" %s %s x%d", f.Result, f.Code, f.Sessions)
	}
	return text
}

// reported is the document of today for a domain as one line, "" where nothing was counted.
func (w *world) reported(domain string) string {
	w.T.Helper()
	a := w.Run("", "reports", "show", "--day", "today", domain, "--json")
	if a.Code != 0 {
		return ""
	}
	reading, err := tlsrpt.Parse([]byte(a.Stdout))
	if err != nil || len(reading.Oddities) > 0 {
		w.T.Fatalf("%s: %v, %q in %s", domain, err, reading.Oddities, a.Stdout)
	}
	var lines []string
	for i := range reading.Report.Policies {
		lines = append(lines, reportLine(&reading.Report.Policies[i]))
	}
	return strings.Join(lines, "; ")
}

// sessions counts the connections that the trace of a delivery tells of, whose TLS was decided.
func sessions(t harness.Trace) (n int) {
	var of struct {
		Attempts []struct {
			Tries []struct {
				Rung     string           `json:"rung"`
				Evidence *json.RawMessage `json:"evidence"`
				Reason   string           `json:"reason"`
			} `json:"tries"`
		} `json:"attempts"`
	}
	_ = json.Unmarshal([]byte(t.Raw), &of) // it was read before
	for _, a := range of.Attempts {
		for _, try := range a.Tries {
			if try.Evidence != nil || strings.HasPrefix(try.Reason, "starttls-") {
				n++
			}
		}
	}
	return n
}

func TestAReportHasExactlyTheSessionsThatThereWere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["delivery.idle_time"], w.Settings["delivery.retry"], w.Settings["delivery.lifetime"] = "0", `["1h"]`, `"3h"`
	w.Domain("good.test", w.Good("mx.good.test"))
	w.policyHost("good.test", "1", policy("enforce", "mx.good.test"))
	w.Domain("expired.test", w.Expired("mx.expired.test"))
	w.policyHost("expired.test", "1", policy("enforce", "mx.expired.test"))
	w.Domain("foreign.test", w.Good("mx.foreign.test"))
	w.policyHost("foreign.test", "1", policy("enforce", "mx.elsewhere.test"))
	w.Domain("missing.test", w.Good("mx.missing.test"))
	w.Record(announcement("missing.test", "1")) // and there is no policy host
	w.Domain("plain.test", partner.Behaviour{})
	w.Domain("none.test", w.Expired("mx.none.test"))
	w.Domain("busy.test", w.Answers("mx.busy.test", "RCPT", "451 4.3.0 later"))
	w.Record("!dead.test MX 10 mx.dead.test", "mx.dead.test A "+harness.NewIP())
	w.Record("dane.test MX 10 mx.dane.test")
	w.Partner("mx.dane.test", w.Offers(pki.Options{SelfSigned: true}))
	w.Record(fmt.Sprintf("_%d._tcp.mx.dane.test TLSA 3 1 1 %s", w.Port, strings.Repeat("ab", 32)))
	w.Domain("routed.test", w.Good("mx.routed.test"))
	w.More = append(w.More, fmt.Sprintf("[[route]]\nmatch = [\"routed.test\"]\nto = [\"mx.routed.test:%d\"]\n", w.Port))
	w.Start("")

	sent := map[string]int{"good": 3, "expired": 1, "foreign": 1, "missing": 1, "plain": 1, "none": 2, "busy": 1, "dead": 1, "dane": 1, "routed": 1}
	traced := map[string]int{}
	for name, n := range sent {
		for i := range n {
			to := fmt.Sprintf("u%d@%s.test", i, name)
			w.Send("anna@home.test", "counted", to)
			traced[name] += sessions(w.Await(to, tried))
		}
	}
	for name, want := range map[string]string{
		"good":    "sts good.test 3/0",
		"expired": "sts expired.test 0/1 certificate-expired cert-expired x1",
		"foreign": "sts foreign.test 0/1 validation-failure sts-mx-mismatch x1",
		"missing": "sts missing.test 0/1 sts-policy-fetch-error sts-policy-unavailable x1",
		"plain":   "no-policy-found plain.test 0/1 starttls-not-supported starttls-not-offered x1",
		"none":    "no-policy-found none.test 2/0",
		"busy":    "no-policy-found busy.test 1/0",
		"dane":    "tlsa mx.dane.test 0/1 validation-failure dane-mismatch x1",
		"mx.dane": "tlsa mx.dane.test 0/1 validation-failure dane-mismatch x1",
		"dead":    "", "routed": "", "home": "",
	} {
		got := ""
		for end := time.Now().Add(12 * time.Second); time.Now().Before(end) && (got == "" || got != want); time.Sleep(300 * time.Millisecond) {
			if got = w.reported(name + ".test"); want == "" {
				break
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		var counted int
		_, _ = fmt.Sscanf(strings.ReplaceAll(got[strings.LastIndex(got, "/")+1:], "x", " "), "%d", &counted)
		if n := traced[name]; n > 0 && want != "" && !strings.Contains(want, fmt.Sprintf("%d/", n)) && !strings.Contains(want, fmt.Sprintf("/%d", n)) {
			t.Errorf("%s: the trace has %d sessions, the report says %q", name, n, got)
		}
	}
	if all := w.Run("", "reports", "show", "--day", "today", "--json"); all.Code != 0 || strings.Count(all.Stdout, "\n") != 8 || strings.Count(all.Stdout, "dane-mismatch") != 1 {
		t.Errorf("all documents: exit code %d\n%s%s", all.Code, all.Stdout, all.Stderr)
	}
	if list := w.Postern("reports", "list"); !strings.Contains(list, "counting") || !strings.Contains(list, "mail-host") {
		t.Errorf("the list says\n%s", list)
	}
}

// collector is a web server that takes reports.
type collector struct {
	mu  sync.Mutex
	got []string
}

func (c *collector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	reading, err := tlsrpt.Parse(body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || len(reading.Report.Policies) != 1 {
		c.got = append(c.got, fmt.Sprintf("%v", err))
		return
	}
	c.got = append(c.got, r.Method+" "+r.Header.Get("Content-Type")+" "+reportLine(&reading.Report.Policies[0]))
}

func (c *collector) seen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

// A day that is over is reported: by signed mail to those whose own TLS is the matter too, and to a web server. What
// was counted before a power cut is in it, and reports are in no report.
func TestReportsReachThoseWhoAskForThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["delivery.retry"], w.Settings["delivery.lifetime"] = `["1h"]`, `"3h"`
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	w.Write("dkim.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	w.Settings["tlsrpt.organization"], w.Settings["tlsrpt.from"] = `"Home Ltd"`, `"tls@home.test"`
	w.Settings["tlsrpt.dkim"] = `{ domain = "home.test", selector = "s1", key = "dkim.pem" }`
	w.Settings["policies.tls_required_no"] = "false" // it concerns mail of others
	w.Record(`s1._domainkey.home.test TXT "v=DKIM1; k=ed25519; p=` + base64.StdEncoding.EncodeToString(public) + `"`)
	good := w.Domain("good.test", w.Good("mx.good.test"))
	expired := w.Domain("expired.test", w.Expired("mx.expired.test"))
	w.policyHost("expired.test", "1", policy("enforce", "mx.expired.test"))
	web, takes := &collector{}, harness.FreeAddress(t)
	l, err := tls.Listen("tcp", takes, &tls.Config{Certificates: []tls.Certificate{w.CA.Issue(pki.Options{Names: []string{"tls.good.test"}}).TLS}})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: web}
	go func() { _ = server.Serve(l) }() // until it is closed
	t.Cleanup(func() { _ = server.Close() })
	host, port, _ := net.SplitHostPort(takes)
	w.Record("tls.good.test A "+host, `_smtp._tls.good.test TXT "v=TLSRPTv1; rua=mailto:tls@good.test, https://tls.good.test:`+port+`/r"`,
		`_smtp._tls.expired.test TXT "v=TLSRPTv1;rua=mailto:tls@expired.test"`)
	w.Start("")
	w.Send("anna@home.test", "counted", "a@good.test")
	w.Send("anna@home.test", "counted", "a@expired.test")
	w.Await("a@good.test", harness.In("delivered"))
	w.Await("a@expired.test", harness.Waits("cert-expired"))
	time.Sleep(tlscounts.Interval + 2*time.Second)
	w.Kill()
	today := w.putBack()
	w.Serve()

	harness.Eventually(t, harness.Patience, "the web server has the report", func() bool { return len(web.seen()) > 0 })
	if got := web.seen(); len(got) != 1 || got[0] != "POST application/tlsrpt+gzip no-policy-found good.test 1/0" {
		t.Errorf("posted: %q", got)
	}
	for domain, c := range map[string]struct {
		server *partner.Partner
		want   string
	}{
		"good.test":    {good, "no-policy-found good.test 1/0"},
		"expired.test": {expired, "sts expired.test 0/1 certificate-expired cert-expired x1"},
	} {
		harness.Eventually(t, harness.Patience, domain+" has its report", func() bool {
			if len(harness.Bodies(c.server, "TLS-Report-Domain: "+domain)) > 0 {
				return true
			}
			w.Run("", "queue", "retry", domain) // ordinary mail fails there, and a site that fails is left alone for a while
			return false
		})
		text := harness.Bodies(c.server, "TLS-Report-Domain: "+domain)[0].Data
		letters, err := tlsrpt.FromMail([]byte(text))
		if err != nil || len(letters) != 1 {
			t.Fatalf("%s: %v, %d reports in\n%s", domain, err, len(letters), text)
		}
		letter := letters[0]
		if len(letter.Oddities) > 0 || len(letter.Report.Policies) != 1 || letter.Report.Organization != "Home Ltd" || letter.Submitter != "home.test" {
			t.Fatalf("%s: %v, %+v in\n%s", domain, err, letter, text)
		}
		if got := reportLine(&letter.Report.Policies[0]); got != c.want {
			t.Errorf("%s: %q, want %q", domain, got, c.want)
		}
		w.verifies(text)
		if got := w.Await("tls@"+domain, harness.In("delivered")); got.Kind != "tls-report" || got.From != "" {
			t.Errorf("the trace of the mail says %s", got.Raw)
		}
	}
	time.Sleep(tlscounts.Interval + 2*time.Second)
	if got := w.reported("good.test"); got != today["good.test"] {
		t.Errorf("the report is counted itself: %q", got)
	}
	if list := w.Postern("reports", "list"); strings.Count(list, " sent ") != 2 {
		t.Errorf("the list says\n%s", list)
	}
	w.Restart()
	time.Sleep(2 * time.Second)
	if n, m := len(web.seen()), len(harness.Bodies(good, "TLS-Report-Domain")); n != 1 || m != 1 {
		t.Errorf("sent again after a start: %d, %d", n, m)
	}
}

// putBack has what was counted today counted the day before yesterday too, and tells what today's documents are.
func (w *world) putBack() map[string]string {
	w.T.Helper()
	ctx := context.Background()
	store, err := sqlstore.Open(ctx, sqlstore.Config{Dir: filepath.Join(w.Dir, "data")})
	if err != nil {
		w.T.Fatal(err)
	}
	defer store.Close()
	book := tlscounts.NewBook(store)
	list, err := book.OfDay(ctx, tlscounts.Day(time.Now()), "", 0)
	if err != nil || len(list) != 2 {
		w.T.Fatalf("counted before the power cut: %+v, %v", list, err)
	}
	out := map[string]string{}
	for i := range list {
		report := list[i].Report()
		out[list[i].Domain] = reportLine(&report.Policies[0])
		list[i].Day = tlscounts.Day(time.Now().AddDate(0, 0, -2))
	}
	if err := book.Add(ctx, list); err != nil {
		w.T.Fatal(err)
	}
	return out
}

// verifies checks a mail's DKIM signature by what DNS says.
func (w *world) verifies(text string) {
	w.T.Helper()
	names, err := resolver.New(resolver.Config{Servers: []string{w.Names.Addr().String()}})
	if err != nil {
		w.T.Fatal(err)
	}
	list, err := dkim.VerifyWithOptions(bytes.NewReader([]byte(text)), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		domain, err := mail.ParseDomain(name)
		if err != nil {
			return nil, err
		}
		answer, err := names.TXT(context.Background(), domain)
		return answer.Texts, err
	}})
	if err != nil || len(list) != 1 || list[0].Err != nil || list[0].Domain != "home.test" {
		w.T.Errorf("the signature: %+v, %v", list, err)
	}
}

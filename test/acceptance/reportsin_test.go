package acceptance

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"postern/internal/history/inbound"
	"postern/internal/history/tlsreports"
	"postern/internal/operator/reports"
	"postern/test/harness"
)

// foreign is a report as somebody else writes it. DAY is yesterday or today, NEXT the day after it, and ADDRESS where
// its sessions came from.
type foreign struct {
	name, json string
	packed     bool
	post       bool
	signer     string // "" for none
	// succeeded and failed are the sums, found what we know of the first failure, "" where there is none.
	succeeded, failed int64
	found             tlsreports.Found
	fits              int64
}

// foreignReports are ten, each odd in its own way.
func foreignReports() []foreign {
	policy := `"policy":{"policy-type":"sts","policy-string":["version: STSv1","mode: enforce"],"policy-domain":"home.test","mx-host":["gw.home.test"]}`
	head := func(name, id string) string {
		return `"organization-name":"` + name + `","date-range":{"start-datetime":"DAYT00:00:00Z","end-datetime":"DAYT23:59:59Z"},"contact-info":"tls@` + name + `.test","report-id":"` + id + `"`
	}
	return []foreign{
		{name: "large", packed: true, signer: "large.test", json: `{` + head("large", "1") + `,"policies":[{` + policy + `,"summary":{"total-successful-session-count":7,"total-failure-session-count":0}}]}`, succeeded: 7},
		{name: "bare", signer: "bare.test", json: `{` + head("bare", "1") + `,"policies":[{` + policy + `,"summary":{"total-successful-session-count":0,"total-failure-session-count":2},"failure-details":[{"result-type":"certificate-not-trusted","failed-session-count":2}]}]}`,
			failed: 2, found: tlsreports.FoundUnknown},
		{name: "noticed", packed: true, signer: "noticed.test", json: `{` + head("noticed", "1") + `,"policies":[{` + policy + `,"summary":{"total-successful-session-count":1,"total-failure-session-count":2},"failure-details":[{"result-type":"certificate-not-trusted","sending-mta-ip":"ADDRESS","receiving-mx-hostname":"gw.home.test","failed-session-count":2,"failure-reason-code":"unknown-ca"}]}]}`,
			succeeded: 1, failed: 2, found: tlsreports.FoundSessions, fits: 2},
		{name: "midnight", signer: "midnight.test", json: strings.Replace(`{`+head("midnight", "1")+`,"policies":[{`+policy+`,"summary":{"total-successful-session-count":"0","total-failure-session-count":"1"},"failure-details":[{"result-type":"STARTTLS_NOT_SUPPORTED","sending-mta-ip":"ADDRESS:25","failed-session-count":"1"}]}]}`, "DAYT23:59:59Z", "NEXTT00:00:00Z", 1),
			failed: 1, found: tlsreports.FoundSessions, fits: 1},
		{name: "nulls", signer: "nulls.test", json: strings.Replace(`{`+head("nulls", "1")+`,"policies":[{`+policy+`,"summary":{"total-successful-session-count":3,"total-failure-session-count":1},"failure-details":[{"result-type":"sts-policy-fetch-error","sending-mta-ip":null,"failed-session-count":1,"additional-information":null}]}]}`, `"tls@nulls.test"`, "null", 1),
			succeeded: 3, failed: 1, found: tlsreports.FoundOther},
		{name: "zoneless", packed: true, signer: "zoneless.test", json: strings.ReplaceAll(`{`+head("zoneless", "1")+`,"policies":[{`+policy+`,"summary":{"total-successful-session-count":0,"total-failure-session-count":4},"failure-details":[{"result-type":"validation-failure","sending-mta-ip":"ADDRESS","failed-session-count":4}]}]}`, `Z"`, `"`),
			failed: 4, found: tlsreports.FoundNone},
		{name: "single", post: true, json: `{` + head("single", "1") + `,"policies":{` + policy + `,"summary":{"total-successful-session-count":2,"total-failure-session-count":0}}}`, succeeded: 2},
		{name: "poster", post: true, packed: true, json: `{` + head("poster", "1") + `,"policies":[{` + policy + `,"summary":{"total-successful-session-count":0,"total-failure-session-count":1},"failure-details":{"result-type":"certificate-expired","sending-mta-ip":"ADDRESS","failed-session-count":1}}]}`,
			failed: 1, found: tlsreports.FoundSessions, fits: 1},
		{name: "text", json: `{` + head("text", "1") + `,"policies":[{` + strings.Replace(policy, `["version: STSv1","mode: enforce"]`, `"[\"version: STSv1\"]"`, 1) + `,"summary":{"total-successful-session-count":5,"total-failure-session-count":0}}]}`, succeeded: 5},
		{name: "dane", signer: "dane.test", json: `{` + head("dane", "1") + `,"policies":[{"policy":{"policy-type":"tlsa","policy-string":["3 1 1 ab"],"policy-domain":"gw.home.test","mx-host":"gw.home.test"},"summary":{"total-failure-session-count":1},"failure-details":[{"result-type":"tlsa-invalid","sending-mta-ip":"ADDRESS","failed-session-count":1}]}]}`,
			failed: 1, found: tlsreports.FoundSessions, fits: 1},
	}
}

// visits has sessions come from an address as a report says: handshakes that the client breaks off, or no TLS.
func (w *world) visits(name, address string, n int64) {
	for range n {
		c := w.Connect(address)
		c.Say("EHLO "+name+".test", "250")
		if name != "midnight" {
			c.Say("STARTTLS", "220")
			if err := tls.Client(c.Conn, &tls.Config{ServerName: "gw.home.test", RootCAs: x509.NewCertPool()}).Handshake(); err == nil {
				w.T.Error("the handshake succeeds")
			}
		}
		_ = c.Conn.Close()
	}
}

func TestReportsOfOthersAreShownAndJoined(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	web := harness.FreeAddress(t)
	w.More = append(w.More, fmt.Sprintf("[[listen]]\nname = \"web\"\nmode = \"web\"\naddress = %q\n", web))
	w.Settings["tlsrpt.receive"], w.Settings["tlsrpt.receive_https"] = `["tls@home.test"]`, "true"
	w.Settings["admin.notify"] = `"admin@home.test"`
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	list := foreignReports()
	for _, f := range list {
		if f.signer != "" {
			w.Record(`s._domainkey.` + f.signer + ` TXT "v=DKIM1; k=ed25519; s=tlsrpt; p=` + base64.StdEncoding.EncodeToString(public) + `"`)
		}
	}
	w.Start("")
	// Sessions of today are spoken of: a report of yesterday would speak of sessions that were before this gateway.
	now := time.Now().UTC()
	day, next := inbound.DayOf(now), inbound.DayOf(now.AddDate(0, 0, 1))
	texts := map[string]string{}
	for _, f := range list {
		address := harness.NewIP()
		if f.found == tlsreports.FoundSessions {
			w.visits(f.name, address, f.fits)
		}
		texts[f.name] = strings.NewReplacer("DAY", day, "NEXT", next, "ADDRESS", address).Replace(f.json)
	}
	time.Sleep(inbound.Interval + 2*time.Second)

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.CA.Pool(), ServerName: "gw.home.test"}}}
	bring := func(f foreign, copy bool) {
		body := []byte(texts[f.name])
		if f.packed {
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			_, _ = z.Write(body) // memory takes everything
			_ = z.Close()
			body = packed.Bytes()
		}
		if f.post {
			answer, err := client.Post("https://"+web+"/tlsrpt", "application/octet-stream", bytes.NewReader(body))
			if err != nil {
				t.Fatal(f.name, err)
			}
			said, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if want := map[bool]int{false: 201, true: 200}[copy]; answer.StatusCode != want {
				t.Errorf("%s: %d %s, want %d", f.name, answer.StatusCode, said, want)
			}
			return
		}
		text := "From: tls@" + f.name + ".test\r\nTo: tls@home.test\r\nSubject: Report\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=x.json\r\n" +
			"Content-Transfer-Encoding: base64\r\n\r\n" + wrapped(base64.StdEncoding.EncodeToString(body))
		if f.signer != "" {
			var out bytes.Buffer
			if err := dkim.Sign(&out, strings.NewReader(text), &dkim.SignOptions{Domain: f.signer, Selector: "s", Signer: private}); err != nil {
				t.Fatal(err)
			}
			text = out.String()
		}
		c := w.Connect(harness.Stranger)
		c.Say("EHLO reporter.test", "250")
		c.Say("MAIL FROM:<>", "250")
		c.Say("RCPT TO:<tls@home.test>", "250")
		c.Say("DATA", "354")
		c.Raw(text)
		c.Say(".", "250 2.0.0 Ok: the report is kept")
		_ = c.Conn.Close()
	}
	for _, f := range list {
		bring(f, false)
		bring(f, true)
	}
	w.shows(list)
	harness.Eventually(t, harness.Patience, "the administrator is written to", func() bool { return len(harness.Bodies(w.Home(), "noticed.test")) > 0 })
	w.Kill()
	w.Restart()
	w.shows(list)

	if n := len(harness.Bodies(w.Home(), "Report")); n > 0 {
		t.Errorf("%d reports were sent on", n)
	}
	c := w.Connect(harness.Stranger)
	c.Say("EHLO person.test", "250")
	c.Transaction("anna@person.test", []string{"tls@home.test"}, harness.Message("anna@person.test", []string{"tls@home.test"}, "a letter"))
	harness.Eventually(t, harness.Patience, "a letter goes on", func() bool { return len(harness.Bodies(w.Home(), "a letter")) == 1 })
	if posts, err := client.Post("https://"+web+"/tlsrpt", "", strings.NewReader("<xml/>")); err != nil || posts.StatusCode != 400 {
		t.Error(posts, err)
	}
	for _, body := range harness.Bodies(w.Home(), "could not reach us") {
		if strings.Contains(body.Data, "certificate-expired") {
			t.Errorf("a report that nobody signed writes to the administrator: %s", body.Data)
		}
	}
	records := w.Postern("records")
	if want := `_smtp._tls.home.test. IN TXT "v=TLSRPTv1; rua=mailto:tls@home.test,https://gw.home.test/tlsrpt"`; !strings.Contains(records, want) {
		t.Errorf("records has\n%s, want\n%s", records, want)
	}
}

func wrapped(text string) string {
	var b strings.Builder
	for line := range slices.Chunk([]byte(text), 76) {
		b.Write(line)
		b.WriteString("\r\n")
	}
	return b.String()
}

// shows looks at what is told of the reports.
func (w *world) shows(list []foreign) {
	t := w.T
	t.Helper()
	told := map[string]reports.ReceivedReport{}
	for line := range strings.Lines(w.Postern("reports", "received", "--json")) {
		var r reports.ReceivedReport
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err, line)
		}
		told[r.Organization] = r
	}
	if len(told) != len(list) {
		t.Errorf("%d reports are listed, want %d", len(told), len(list))
	}
	for _, f := range list {
		r := told[f.name]
		if r.Succeeded != f.succeeded || r.Failed != f.failed || r.Signer != f.signer || r.Copies != 1 || (r.Unsigned == "") != (f.signer != "") {
			t.Errorf("%s: %+v", f.name, r)
		}
		if f.found == "" {
			continue
		}
		var doc reports.ReceivedDocument
		if err := json.Unmarshal([]byte(w.Postern("reports", "received", r.ID, "--json")), &doc); err != nil || len(doc.Policies) != 1 || len(doc.Policies[0].Failures) != 1 {
			t.Errorf("%s: %v %+v", f.name, err, doc)
			continue
		}
		saw := doc.Policies[0].Failures[0].Saw
		var fits int64
		for _, k := range saw.Kinds {
			if k.Fits && k.Listener == "world" {
				fits += k.Sessions
			}
			if f.name != "midnight" && (k.Shown == nil || !slices.Equal(k.Shown.Names, []string{"gw.home.test"})) {
				t.Errorf("%s: shown was %+v", f.name, k.Shown)
			}
		}
		// That a gateway began today leaves open who came before: then nobody can tell.
		if saw.Found != f.found && !(f.found == tlsreports.FoundNone && saw.Found == tlsreports.FoundUnknown && strings.Contains(saw.Text, "are remembered since")) || fits != f.fits {
			t.Errorf("%s: %+v, want %s and %d", f.name, saw, f.found, f.fits)
		}
	}
	a := w.Run("", "reports", "failures", "--json")
	if a.Code != 1 || strings.Count(a.Stdout, "\n") != 7 || strings.Count(a.Stdout, `"signed":false`) != 1 {
		t.Errorf("failures: exit code %d\n%s%s", a.Code, a.Stdout, a.Stderr)
	}
}

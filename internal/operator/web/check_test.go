package web

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"postern/internal/operator/access"
)

func TestACheckIsAPageOrAStream(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	p := b.post("/check", "target", "clinic.test", "rule", "clinic").has(b, 200, "mx.clinic.test", "deferred", "rule clinic", "renew it", "<b>expired</b>", "mail goes to")
	b.wellMade(p)
	b.harmless(p, "<b>")
	b.post("/check", "target", "").has(b, 400, "neither a domain nor a host")
	b.post("/check", "target", "clinic.test", "rule", "none").has(b, 400, "There is no rule")

	r, err := http.NewRequestWithContext(t.Context(), "POST", b.at+"/check", strings.NewReader(url.Values{"target": {"clinic.test"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", streamType)
	res, err := b.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got []line
	for in := bufio.NewScanner(res.Body); in.Scan(); {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", in.Text(), err)
		}
		got = append(got, l)
	}
	if len(got) != 3 || got[0].Step == nil || got[0].Step.Step != "dns" || !strings.Contains(got[2].Done, "&lt;b&gt;expired&lt;/b&gt;") || strings.Contains(got[2].Done, "<b>") {
		t.Errorf("%+v", got)
	}
	if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self'") {
		t.Errorf("the policy of a stream is %q", csp)
	}
}

// Whoever may not act may not make the gateway call somebody, and whoever is limited to domains may name these and
// where their mail goes, and no host.
func TestWhoMayCheckWhat(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.become("otto", access.Operator)
	b.post("/check", "target", "mx.clinic.test:25").has(b, 200)
	b.become("olga", access.Operator, "clinic.test")
	b.post("/check", "target", "clinic.test").has(b, 200)
	b.post("/check", "target", "mx.clinic.test").has(b, 200)          // its mail was tried there
	b.post("/check", "target", "other.test").has(b, 403, "may not")   // others' mail goes there
	b.post("/check", "target", "nowhere.test").has(b, 403, "may not") // nobody's does
	b.become("oli", access.Operator, "example.com")
	b.post("/check", "target", "other.test").has(b, 200)
	for _, host := range []string{"mx.clinic.test:25", "127.0.0.1", "[::1]:25", "192.0.2.1:22"} {
		b.post("/check", "target", host).has(b, 403, "may not")
	}
	b.get("/gateway").has(b, 403)
	b.post("/gateway/reload").has(b, 403)
	b.become("ada", access.Auditor)
	b.post("/check", "target", "other.test").has(b, 403)
	b.get("/gateway").has(b, 200, "gw.example.com", "mail.internal:25", "sts-record-malformed", "&lt;b&gt;v=STSv1", "publish it")
	b.post("/gateway/reload").has(b, 403)
	b.post("/headers", "header", "Received: from a.test ([192.0.2.1]) by b.test with ESMTPS; Mon, 23 Nov 2026 12:00:00 +0000\n").has(b, 200, "a.test", "yes")
}

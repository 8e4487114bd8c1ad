package received

import (
	"strings"
	"testing"
	"time"
)

const at = "; Tue, 1 Dec 2026 10:00:00 +0000"

// Lines of one small world: out.example.org sends to mx.clinic.test, which passes on to store.clinic.test.
const (
	store    = "from mx.clinic.test (mx.clinic.test [10.0.0.5]) (using TLSv1.3 with cipher X (256/256 bits)) by store.clinic.test (Postfix) with ESMTPS id 3" + at
	mx       = "from out.example.org (out.example.org [192.0.2.7]) (using TLSv1.3 with cipher X (256/256 bits)) by mx.clinic.test (Postfix) with ESMTPS id 2" + at
	out      = "from laptop ([198.51.100.9] helo=laptop) by out.example.org with esmtpsa (TLS1.3) tls X (Exim 4.96) id 1" + at
	forged   = "from bank.example (bank.example [203.0.113.1]) (using TLSv1.3 with cipher X (256/256 bits)) by mx.clinic.test (Postfix) with ESMTPS id 0" + at
	liar     = "from mx.clinic.test (unknown [203.0.113.66]) (using TLSv1.3 with cipher X (256/256 bits)) by mx.clinic.test (Postfix) with ESMTPS id 2" + at
	lmtp     = "from mx.clinic.test by mx.clinic.test with LMTP id 9" + at
	reinject = "from localhost (localhost [127.0.0.1]) by mx.clinic.test (Postfix) with ESMTP id 8" + at
	filter   = "from mx.clinic.test ([127.0.0.1]) by localhost (mx.clinic.test [127.0.0.1]) (amavisd-new, port 10024) with ESMTP id 7" + at
	exchange = "from mx.clinic.test (10.0.0.5) by EX1.clinic.test (10.0.0.6) with Microsoft SMTP Server (version=TLS1_2, cipher=X) id 15.1" + at
	google   = "by 2002:a05:6402:1234:b0:45c:db47:1b2c with SMTP id x20csp" + at
	googleMX = "from out.example.org (out.example.org. [192.0.2.7]) by mx.google.com with ESMTPS id a1 (version=TLS1_3 cipher=X bits=256/256)" + at
	queue    = "(qmail 12345 invoked from network)" + at
	qmailMX  = "from unknown (HELO out.example.org) (192.0.2.7) by mx.clinic.test with (X encrypted) SMTP" + at
)

func TestHowFarProofReaches(t *testing.T) {
	for _, tt := range []struct {
		name   string
		trust  string
		lines  []string // the newest first
		states string   // the newest first
		why    string
	}{
		{"the newest line alone", "", []string{mx, out}, "yes claimed", "brought by out.example.org [192.0.2.7], and nobody is named"},
		{"a trusted name that the writer checked", "example.org", []string{mx, out}, "yes yes", ""},
		{"a trusted address", "192.0.2.0/24", []string{mx, out}, "yes yes", ""},
		{"a name that is not trusted", "example.net", []string{mx, out}, "yes claimed", "brought by out.example.org [192.0.2.7], which is not proven to be a host you trust; if it is one, add --trust 192.0.2.7"},
		{"two hosts of one's own, then a stranger", "clinic.test", []string{store, mx, out}, "yes yes claimed", "brought by out.example.org"},
		{"a stranger who writes in our name", "clinic.test", []string{mx, forged}, "yes claimed", "brought by out.example.org"},
		{"a stranger who calls itself by our name", "clinic.test", []string{liar, forged}, "yes claimed", "brought by mx.clinic.test [203.0.113.66], which is not proven"},
		{"a trusted host that passes on a line of nobody's", "example.org", []string{mx, forged}, "yes claimed", "written in the name of mx.clinic.test, which is not a host you trust"},
		{"everybody", "*", []string{liar, forged, out}, "yes yes yes", ""},
		{"the way to the mailbox on one host", "", []string{lmtp, mx, out}, "no yes claimed", "brought by out.example.org"},
		{"a filter on one host", "", []string{reinject, filter, mx, forged}, "no no yes claimed", "brought by out.example.org"},
		{"one host that goes on in another's name", "", []string{reinject, out}, "no claimed", "written in the name of out.example.org"},
		{"exchange checks no names", "clinic.test", []string{exchange, mx}, "yes claimed", "if it is one, add --trust 10.0.0.5"},
		{"exchange and an address", "clinic.test 10.0.0.0/8", []string{exchange, mx, out}, "yes yes claimed", "brought by out.example.org"},
		{"google's inside, unnamed", "", []string{google, googleMX}, "unknown claimed", "written in the name of mx.google.com"},
		{"google's inside", "google.com", []string{google, googleMX, out}, "unknown yes claimed", "brought by out.example.org"},
		{"two stamps of one qmail", "", []string{queue, qmailMX, out}, "unknown yes claimed", "brought by out.example.org"},
		{"qmail checks no names", "example.org", []string{qmailMX, out}, "yes claimed", "brought by out.example.org"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			trust, err := ParseTrust(strings.Fields(tt.trust))
			if err != nil {
				t.Fatal(err)
			}
			var fields []Field
			for _, line := range tt.lines {
				fields = append(fields, Field{Value: line})
			}
			report := Trace(fields, trust)
			var states []string
			for i := len(report.Hops) - 1; i >= 0; i-- {
				h := &report.Hops[i]
				states = append(states, string(h.State))
			}
			if got := strings.Join(states, " "); got != tt.states {
				t.Errorf("states %q, want %q", got, tt.states)
			}
			if !strings.Contains(report.Why, tt.why) || tt.why == "" && report.Why != "" {
				t.Errorf("why %q, want %q", report.Why, tt.why)
			}
		})
	}
}

func TestTrustIsReadInAnySpelling(t *testing.T) {
	for _, tt := range []struct {
		entry, host string
		want        bool
	}{
		{"example.com", "example.com", true},
		{"example.com", "MX.Example.COM.", true},
		{"*.example.com", "mx.example.com", true},
		{".example.com", "a.b.example.com", true},
		{"bücher.example", "mx.xn--bcher-kva.example", true},
		{"example.com", "notexample.com", false},
		{"mx.example.com", "example.com", false},
		{"example.com", "", false},
		{"example.com", "192.0.2.7", false},
	} {
		trust, err := ParseTrust([]string{tt.entry})
		if err != nil {
			t.Fatal(err)
		}
		if got := trust.names(tt.host); got != tt.want {
			t.Errorf("%s names %q: %v", tt.entry, tt.host, got)
		}
	}
	for _, entry := range []string{"", "a b", "-x-", "192.0.2.0/99", "a..b", "**"} {
		if _, err := ParseTrust([]string{entry}); err == nil {
			t.Errorf("%q was accepted", entry)
		}
	}
}

func TestTheTimeOfEachHop(t *testing.T) {
	line := func(clock string) Field {
		return Field{Value: "from a by b with ESMTPS id 1; Tue, 1 Dec 2026 " + clock}
	}
	report := Trace([]Field{line("10:00:04 +0000"), line("11:00:09 +0100"), line("no date"), line("10:00:02 +0000")}, Trust{})
	want := []time.Duration{0, 0, 7 * time.Second, -5 * time.Second}
	has := []bool{false, false, true, true}
	for i, h := range report.Hops {
		if h.Delay != want[i] || h.HasDelay != has[i] {
			t.Errorf("hop %d: %v %v, want %v %v", h.Number, h.Delay, h.HasDelay, want[i], has[i])
		}
		if flagged := strings.Contains(strings.Join(h.Notes, "\n"), "clocks is wrong"); flagged != (want[i] < 0) {
			t.Errorf("hop %d: notes %q", h.Number, h.Notes)
		}
	}
}

func TestWhatFallsShortOfARequirement(t *testing.T) {
	plain := strings.Replace(mx, "(using TLSv1.3 with cipher X (256/256 bits)) ", "", 1)
	plain = strings.Replace(plain, "ESMTPS", "ESMTP", 1)
	for _, tt := range []struct {
		name  string
		trust []string
		lines []string
		hops  []int
		ok    bool
	}{
		{"all well", nil, []string{mx, out}, nil, true},
		{"the newest is plain", nil, []string{plain, out}, []int{2}, false},
		{"a claim below proves nothing in either direction", nil, []string{mx, plain}, nil, true},
		{"a trusted line that is plain", []string{"*"}, []string{mx, plain}, []int{1}, false},
		{"what is not said falls short", nil, []string{"from a (b [192.0.2.7]) by c with SMTP id 1" + at}, []int{1}, false},
		{"only inside", nil, []string{reinject}, nil, false},
		{"nothing", nil, nil, nil, false},
	} {
		trust, err := ParseTrust(tt.trust)
		if err != nil {
			t.Fatal(err)
		}
		var fields []Field
		for _, l := range tt.lines {
			fields = append(fields, Field{Value: l})
		}
		report := Trace(fields, trust)
		hops, ok := report.Short()
		if ok != tt.ok || len(hops) != len(tt.hops) || len(hops) > 0 && hops[0] != tt.hops[0] {
			t.Errorf("%s: %v %v, want %v %v", tt.name, hops, ok, tt.hops, tt.ok)
		}
	}
}

func TestAStepThatWroteNoLineIsNoted(t *testing.T) {
	const note = "or a step that wrote no line"
	noted := func(above, below string) bool {
		report := Trace([]Field{{Value: above}, {Value: below}}, Trust{})
		return strings.Contains(strings.Join(report.Hops[1].Notes, "\n"), note)
	}
	if noted(mx, out) || noted(reinject, filter) || noted(lmtp, mx) {
		t.Error("noted where the names agree, or on one host")
	}
	if !noted(mx, store) {
		t.Error("not noted where another host signed the line before")
	}
}

func TestSendmailsWordsForTheClientsCertificate(t *testing.T) {
	for word, want := range map[string]ClientCert{"OK": ClientCertVerified, "TRUSTED": ClientCertVerified, "NO": ClientCertNone,
		"NOT": ClientCertNotRequested, "FAIL": ClientCertUnverified, "NONE": ""} {
		l := Parse("from a ([192.0.2.7]) by b (8.18.1/8.18.1) with ESMTPS id 1 (version=TLSv1.3 cipher=X bits=256 verify=" + word + ")" + at)
		if l.Client != want {
			t.Errorf("%s: %q, want %q", word, l.Client, want)
		}
	}
}

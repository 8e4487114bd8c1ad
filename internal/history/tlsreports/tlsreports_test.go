package tlsreports_test

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/history/inbound"
	"postern/internal/history/tlsreports"
	"postern/internal/lab/testkit/stores"
	"postern/internal/platform/records"
	"postern/internal/policy/tlsrpt"
)

var day = time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)

func report(id string, failed int64) tlsrpt.Report {
	p := tlsrpt.Policy{Type: tlsrpt.TypeSTS, Domain: "home.test", Succeeded: 10, Failed: failed}
	if failed > 0 {
		p.Failures = []tlsrpt.Failure{{Result: tlsrpt.CertificateExpired, Sessions: failed, SendingIP: netip.MustParseAddr("192.0.2.77")}}
	}
	return tlsrpt.Report{Organization: "Sender", ID: id, Start: day, End: day.Add(24*time.Hour - time.Second), Policies: []tlsrpt.Policy{p}}
}

func received(at time.Time, signer string, r *tlsrpt.Report) tlsreports.Received {
	out := tlsreports.Received{At: at, Way: tlsreports.ByMail, Client: "192.0.2.77", Signer: signer}
	out.Sum(r, func(name string) string { return name })
	return out
}

func TestBook(t *testing.T) { stores.Each(t, testBook) }

func testBook(t *testing.T, s records.Store, again func() records.Store) {
	b := tlsreports.NewBook(s, tlsreports.Room{Signed: 5, Unsigned: 3})
	now := day.Add(30 * time.Hour)
	add := func(id, signer string, failed int64, after time.Duration) tlsreports.Added {
		t.Helper()
		r := report(id, failed)
		out, err := b.Add(t.Context(), received(now.Add(after), signer, &r), r.Packed(), "who "+signer, 100)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	ids := func(q tlsreports.Query) (out string) {
		t.Helper()
		list, more, err := b.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			out += r.ReportID
			if r.Signed() {
				out += "+"
			}
			out += " "
		}
		if more {
			out += "..."
		}
		return strings.TrimSpace(out)
	}
	first := add("a", "sender.test", 3, 0)
	add("b", "", 1, time.Minute)
	add("c", "other.test", 0, 2*time.Minute)
	if got := ids(tlsreports.Query{}); got != "c+ b a+" {
		t.Error(got)
	}
	if got := ids(tlsreports.Query{Most: 2}); got != "c+ b ..." {
		t.Error(got)
	}
	list, _, _ := b.List(t.Context(), tlsreports.Query{Most: 2})
	if got := ids(tlsreports.Query{After: list[1].Key}); got != "a+" {
		t.Error(got)
	}
	if got := ids(tlsreports.Query{Since: now.Add(time.Minute), Until: now.Add(2 * time.Minute)}); got != "b" {
		t.Error(got)
	}
	b = tlsreports.NewBook(again(), tlsreports.Room{Signed: 5, Unsigned: 3})
	r, doc, err := b.Get(t.Context(), first.ID)
	if want := report("a", 3); err != nil || r.ReportID != "a" || !reflect.DeepEqual(doc, want) {
		t.Errorf("%+v %+v %v", r, doc, err)
	}
	if _, _, err := b.Get(t.Context(), "0123456789abcdef-000000"); !errors.Is(err, tlsreports.ErrNotFound) {
		t.Error(err)
	}
	// Two signers of one identity are two; one without a signature is a copy.
	if out := add("a", "forger.test", 7, 3*time.Minute); out.Copy || out.ID == first.ID {
		t.Error(out)
	}
	if out := add("a", "m17972486.evil.test", 7, 3*time.Minute+time.Second); out.Copy || out.ID[:23] != first.ID[:23] { // looked for until it fitted
		t.Error(out)
	}
	if out := add("a", "", 9, 4*time.Minute); !out.Copy {
		t.Error(out)
	}
	// Those without a signature crowd out each other alone, the oldest first.
	for i := range 10 {
		add(fmt.Sprint("u", i), "", 1, 10*time.Minute+time.Duration(i)*time.Second)
	}
	if got := ids(tlsreports.Query{}); got != "u9 u8 u7 a+ a+ c+ a+" {
		t.Error(got)
	}
	for i := range 10 {
		add(fmt.Sprint("s", i), "sender.test", 0, 20*time.Minute+time.Duration(i)*time.Second)
	}
	if got := ids(tlsreports.Query{}); got != "s9+ s8+ s7+ s6+ s5+ u9 u8 u7" {
		t.Error(got)
	}
	small := report("bound", 0)
	for i := range 3 {
		small.ID = fmt.Sprint("bound", i)
		_, err := b.Add(t.Context(), received(now.Add(time.Hour+time.Duration(i)*time.Minute), "x.test", &small), small.Packed(), "x", 2)
		if (i == 2) != errors.Is(err, tlsreports.ErrTooMany) {
			t.Error(i, err)
		}
	}
	if _, err := b.Add(t.Context(), received(now.Add(25*time.Hour), "x.test", &small), small.Packed(), "x", 2); err != nil {
		t.Error("the next day", err)
	}
	if err := errors.Join(b.Forget(t.Context(), now.Add(20*time.Minute+8*time.Second)), b.ForgetSenders(t.Context(), now.Add(48*time.Hour))); err != nil {
		t.Error(err)
	}
	if got := ids(tlsreports.Query{}); got != "bound2+ bound1+ bound0+ s9+ s8+" {
		t.Error(got)
	}
}

func TestOneLargeReportTakesTheRoomOfManyAndNotMore(t *testing.T) {
	stores.Each(t, func(t *testing.T, s records.Store, _ func() records.Store) {
		b := tlsreports.NewBook(s, tlsreports.Room{UnsignedBytes: 1000})
		for i := range 20 {
			r := report(fmt.Sprint(i), 0)
			if _, err := b.Add(t.Context(), received(day.Add(time.Duration(i)*time.Minute), "", &r), []byte(strings.Repeat("x", 300)), "a", 100); err != nil {
				t.Fatal(err)
			}
		}
		list, _, err := b.List(t.Context(), tlsreports.Query{})
		if err != nil || len(list) != 3 || list[0].ReportID != "19" {
			t.Error(len(list), err)
		}
	})
}

// memory is what we saw on two days.
func memory() *inbound.Seen {
	at := func(h int) time.Time { return day.Add(time.Duration(h) * time.Hour) }
	client := func(day, address string, kinds ...inbound.Kind) inbound.Client {
		return inbound.Client{Day: day, Client: inbound.Of(netip.MustParseAddr(address)), Kinds: kinds}
	}
	kind := func(o inbound.Outcome, h int, n, messages int64, text string) inbound.Kind {
		k := inbound.Kind{Listener: "smtp", Outcome: o, Sessions: n, Messages: messages, Text: text, First: at(h), Last: at(h).Add(30 * time.Minute)}
		if o != inbound.Plaintext {
			k.Certificate = "ab12"
		}
		return k
	}
	return &inbound.Seen{
		Days: []inbound.Day{{Day: "2026-11-27", Since: at(-24)}, {Day: "2026-11-28", Since: at(0)}, {Day: "2026-11-29", Since: at(24)}, {Day: "2026-12-02", Since: at(96), More: 7}, {Day: "2026-12-04", Since: at(6*24 + 9)}},
		Clients: []inbound.Client{
			client("2026-11-28", "192.0.2.1", kind(inbound.Failed, 9, 3, 0, "remote error: tls: expired certificate"), kind(inbound.Plaintext, 9, 2, 2, "")),
			client("2026-11-28", "192.0.2.2", kind(inbound.Plaintext, 23, 4, 0, "")),
			client("2026-11-29", "192.0.2.3", kind(inbound.TLS, 24, 5, 0, "closed by the client")),
			client("2026-11-29", "192.0.2.4", kind(inbound.TLS, 30, 5, 5, "")),
			client("2026-11-28", "2001:db8:1:2:3::4", kind(inbound.TLS, 12, 6, 0, "connection lost")),
		},
		Certificates: []inbound.Certificate{{SHA256: "ab12", Names: []string{"gw.home.test"}, NotAfter: at(0)}},
	}
}

// Each row is a failure somebody reports. fits are the sessions of the kinds that go with it.
func TestTheJoin(t *testing.T) {
	whole := tlsreports.Span{Start: day, End: day.Add(24*time.Hour - time.Second)}
	midnight := tlsreports.Span{Start: day, End: day.Add(24 * time.Hour)}
	later := func(n int) tlsreports.Span {
		return tlsreports.Span{Start: day.AddDate(0, 0, n), End: day.AddDate(0, 0, n+1).Add(-time.Second)}
	}
	for _, c := range []struct {
		name, result, address string
		span                  tlsreports.Span
		found                 tlsreports.Found
		sessions, fits        int64
		text                  string
	}{
		{"the certificate had run out", tlsrpt.CertificateExpired, "192.0.2.1", whole, tlsreports.FoundSessions, 5, 3, "expired certificate"},
		{"a day that ends at midnight", tlsrpt.CertificateExpired, "192.0.2.1", midnight, tlsreports.FoundSessions, 5, 3, ""},
		{"a middlebox took STARTTLS away", tlsrpt.StartTLSNotSupported, "192.0.2.2", whole, tlsreports.FoundSessions, 4, 4, "4 without TLS"},
		{"a result of their own", "something-else", "192.0.2.1", whole, tlsreports.FoundSessions, 5, 3, ""},
		{"their clock is some minutes behind, and the name does not fit", tlsrpt.CertificateHostMismatch, "192.0.2.3", whole, tlsreports.FoundSessions, 5, 5, "5 with TLS and no message"},
		{"the same address on the next day alone", tlsrpt.CertificateNotTrusted, "192.0.2.4", whole, tlsreports.FoundNone, 0, 0, "on the way here"},
		{"another address of an IPv6 network", tlsrpt.TLSAInvalid, "2001:db8:1:2::9", whole, tlsreports.FoundSessions, 6, 6, ""},
		{"IPv4 written as IPv6", tlsrpt.CertificateExpired, "::ffff:192.0.2.1", whole, tlsreports.FoundSessions, 5, 3, ""},
		{"nobody of that address came", tlsrpt.ValidationFailure, "192.0.2.99", whole, tlsreports.FoundNone, 0, 0, "on the way here"},
		{"no address", tlsrpt.ValidationFailure, "", whole, tlsreports.FoundUnknown, 0, 0, "names no address"},
		{"no time", tlsrpt.ValidationFailure, "192.0.2.1", tlsreports.Span{}, tlsreports.FoundUnknown, 0, 0, "says no time"},
		{"it ends before it begins", tlsrpt.ValidationFailure, "192.0.2.1", tlsreports.Span{Start: day, End: day.AddDate(0, 0, -1)}, tlsreports.FoundUnknown, 0, 0, "says no time"},
		{"too long ago", tlsrpt.ValidationFailure, "192.0.2.1", later(-20), tlsreports.FoundUnknown, 0, 0, "nothing is remembered of 2026-11-08"},
		{"more came than are remembered", tlsrpt.ValidationFailure, "192.0.2.1", later(4), tlsreports.FoundUnknown, 0, 0, "more clients came"},
		{"the gateway was new that day", tlsrpt.ValidationFailure, "192.0.2.1", later(6), tlsreports.FoundUnknown, 0, 0, "since 09:00 alone"},
		{"the policy could not be fetched", tlsrpt.STSPolicyFetchError, "192.0.2.1", whole, tlsreports.FoundOther, 0, 0, "policy host"},
		{"an hour alone", tlsrpt.CertificateExpired, "192.0.2.1", tlsreports.Span{Start: day.Add(12 * time.Hour), End: day.Add(13 * time.Hour)}, tlsreports.FoundNone, 0, 0, ""},
	} {
		got := tlsreports.Join(c.result, c.address, c.span, memory())
		var fits int64
		for _, k := range got.Kinds {
			if k.Fits {
				fits += k.Sessions
			}
			if (k.Shown != nil) != (k.Certificate != "") {
				t.Errorf("%s: shown is %+v", c.name, k.Shown)
			}
		}
		if got.Found != c.found || got.Sessions != c.sessions || fits != c.fits || !strings.Contains(got.Text, c.text) || got.Text == "" {
			t.Errorf("%s: %+v, %d fit; want %+v", c.name, got, fits, c)
		}
	}
}

func TestWhoCouldNotReachUs(t *testing.T) {
	a, b, c := report("a", 3), report("b", 4), report("c", 9)
	b.Start, b.End = day.AddDate(0, 0, 1), day.AddDate(0, 0, 2)
	list := []tlsreports.Received{received(day, "sender.test", &a), received(day, "sender.test", &b), received(day, "", &c)}
	rows, more := tlsreports.Who(list)
	if len(rows) != 2 || more {
		t.Fatalf("%+v", rows)
	}
	if f := rows[0]; f.Sender != "sender.test" || !f.Signed || f.Sessions != 7 || f.Reports != 2 || !f.Since.Equal(day) || !f.Until.Equal(b.End) || len(f.Addresses) != 1 {
		t.Errorf("%+v", f)
	}
	if f := rows[1]; f.Sender != "Sender" || f.Signed || f.Sessions != 9 {
		t.Errorf("%+v", f)
	}
	days := tlsreports.Days(list)
	if len(days) != 3 || days[0].Day != "2026-11-29" || days[0].Failed != 4 || days[1].Failed != 9 || days[1].Signed || days[2].Failed != 3 {
		t.Errorf("%+v", days)
	}
}

// The largest report that can be read makes a short record.
// Strangers cannot have the sums of thousands of reports run over, whatever they write.
func TestTheSumsOfAllReportsFit(t *testing.T) {
	const most = int64(tlsrpt.MaxEntries) * tlsrpt.MaxSessions
	list := slices.Repeat([]tlsreports.Received{{Organization: "x", Parts: []tlsreports.Part{{Domain: "home.test", Succeeded: most, Failed: most,
		Failures: []tlsreports.Failure{{Result: "tlsa-invalid", Sessions: most}}}}}}, 5000)
	days := tlsreports.Days(list)
	rows, _ := tlsreports.Who(list)
	if days[0].Failed/5000 != most || days[0].Succeeded/5000 != most || rows[0].Sessions/5000 != most {
		t.Errorf("the sums are %d, %d and %d", days[0].Succeeded, days[0].Failed, rows[0].Sessions)
	}
}

func TestTheSumsOfAReportAreBounded(t *testing.T) {
	r := report("x", 0)
	for i := range 50_000 {
		r.Policies = append(r.Policies, tlsrpt.Policy{Domain: "home.test", Failed: 1, Failures: []tlsrpt.Failure{{Result: fmt.Sprint("r", i), Sessions: 1}}})
	}
	got := received(day, "", &r)
	if p := got.Parts[0]; len(got.Parts) != 1 || len(p.Failures) != 50 || p.Failed != 50_000 || p.More != 50_000-50 {
		t.Error(len(got.Parts), p.Failed, p.More)
	}
}

package tlscounts_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/attempt"
	"postern/internal/event"
	"postern/internal/history/tlscounts"
	"postern/internal/lab/testkit/stores"
	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/policy"
	"postern/internal/policy/tlsrpt"
	"postern/internal/queue/memstore"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, s records.Store) (*tlscounts.Recorder, *tlscounts.Book) {
	t.Helper()
	b := tlscounts.NewBook(s)
	r, err := tlscounts.Open(t.Context(), b, fetched, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	return r, b
}

func attempted(domain string, when time.Time, list ...attempt.Try) event.Attempted {
	return event.Attempted{Leg: event.OutWorld, Domain: mail.MustDomain(domain), Attempt: &attempt.Attempt{At: when, Tries: list}}
}

// sums are "domain succeeded failed", copies marked.
func sums(t *testing.T, b *tlscounts.Book) map[string]string {
	t.Helper()
	list, err := b.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range list {
		ok, failed, copies := c.Sum()
		out[c.Day+" "+c.Domain] = fmt.Sprintf("%d %d %v", ok, failed, copies)
	}
	return out
}

func TestWhoIsToldOfWhichMail(t *testing.T) {
	r, b := open(t, memstore.New())
	good := at(attempt.Modern, "", proved())
	r.Emit(attempted("clinic.test", noon, good))
	r.Emit(attempted("clinic.test", noon.Add(12*time.Hour), good)) // the next day begins
	r.Emit(attempted("clinic.test", noon, at(attempt.Modern, "", byRecords(), tlsa(policy.Enforced))))
	r.Emit(attempted("bank.test", noon, at(attempt.Modern, policy.DANEMismatch, byRecords(policy.DANEMismatch), tlsa(policy.Enforced))))
	r.Emit(event.PassedOver{Leg: event.OutWorld, Domain: mail.MustDomain("shop.test"), Attempt: &attempt.Attempt{At: noon,
		Tries: tries(passed(policy.STSMXMismatch, with(sts(policy.Enforced), fellShort(policy.STSMXMismatch))))}})
	for _, change := range []func(*event.Attempted){
		func(e *event.Attempted) { e.Named = true },
		func(e *event.Attempted) { e.Report = true },
		func(e *event.Attempted) { e.Leg = event.OutOwn },
		func(e *event.Attempted) { e.Domain = mail.MustDomain("[192.0.2.25]") },
		func(e *event.Attempted) { e.Attempt = nil },
	} {
		e := attempted("quiet.test", noon, good)
		change(&e)
		r.Emit(e)
	}
	r.Emit(event.Settled{})
	r.Emit(event.PolicyUnavailable{Domain: "quiet.test", Fault: "host-silent"}) // its sessions say so themselves
	r.Flush(t.Context())
	want := map[string]string{"2026-11-28 clinic.test": "2 0 false", "2026-11-29 clinic.test": "1 0 false", "2026-11-28 bank.test": "0 1 false",
		"2026-11-28 mx.clinic.test": "1 1 true", "2026-11-28 shop.test": "0 1 false"}
	if got := sums(t, b); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	c, err := b.Counts(t.Context(), "2026-11-28", "clinic.test")
	if err != nil {
		t.Fatal(err)
	}
	report := c.Report()
	if len(report.Policies) != 2 || report.Policies[0].Type != tlsrpt.TypeNone || report.Policies[0].Succeeded != 1 || report.Policies[1].Domain != "mx.clinic.test" ||
		!report.Start.Equal(time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)) || !report.End.Equal(time.Date(2026, 11, 28, 23, 59, 59, 0, time.UTC)) {
		t.Errorf("%+v", report)
	}
}

func TestAFetchThatFailsWhileAPolicyIsKept(t *testing.T) {
	r, b := open(t, memstore.New())
	r.Emit(event.PolicyUnavailable{Domain: "clinic.test", Fault: "certificate", Kept: true})
	r.Emit(event.PolicyUnavailable{Domain: "clinic.test", Fault: "busy", Kept: true}) // ours
	r.Flush(t.Context())
	c, err := b.Counts(t.Context(), tlscounts.Day(time.Now()), "clinic.test")
	if err != nil || len(c.Policies) != 1 || c.Policies[0].Failed != 1 || c.Policies[0].Failures[0].Result != "sts-webpki-invalid" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestCountsOutliveTheProcess(t *testing.T) {
	stores.Each(t, func(t *testing.T, s records.Store, again func() records.Store) {
		r, _ := open(t, s)
		for range 3 {
			r.Emit(attempted("clinic.test", noon, at(attempt.Modern, policy.CertExpired, proved(policy.CertExpired), sts(policy.Enforced))))
		}
		r.Flush(t.Context())
		r.Emit(attempted("clinic.test", noon, at(attempt.Modern, "", proved(), sts(policy.Enforced)))) // lost with the process
		r, b := open(t, again())
		r.Emit(attempted("clinic.test", noon, at(attempt.Modern, policy.CertExpired, proved(policy.CertExpired), sts(policy.Enforced))))
		r.Flush(t.Context())
		c, err := b.Counts(t.Context(), "2026-11-28", "clinic.test")
		if err != nil || len(c.Policies) != 1 || c.Policies[0].Failed != 4 || c.Policies[0].Succeeded != 0 || len(c.Policies[0].Failures) != 1 || c.Policies[0].Failures[0].Sessions != 4 {
			t.Errorf("%+v, %v", c, err)
		}
		if list, err := b.OfDay(t.Context(), "2026-11-28", "", 0); err != nil || len(list) != 1 {
			t.Errorf("of the day: %v, %v", list, err)
		}
		if list, err := b.OfDay(t.Context(), "2026-11-28", "clinic.test", 0); err != nil || len(list) != 0 {
			t.Errorf("past the last: %v, %v", list, err)
		}
		if err := b.Forget(t.Context(), "2026-11-29"); err != nil {
			t.Error(err)
		}
		if _, err := b.Counts(t.Context(), "2026-11-28", "clinic.test"); !errors.Is(err, records.ErrNotFound) {
			t.Errorf("forgotten: %v", err)
		}
	})
}

// Law: whatever order counts are added in, and however they are divided, their sums are the same, and so are the
// documents while no bound is reached.
func TestAddingIsCommutative(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	for round := range 200 {
		var parts []tlscounts.Counts
		kinds := 5 + 300*(round%2)
		for range 2 + random.IntN(6) {
			c := tlscounts.Counts{Day: "2026-11-28", Domain: "clinic.test"}
			for range random.IntN(20) {
				c.Merge(&tlscounts.Counts{Policies: []tlscounts.Policy{arbitrary(random, kinds)}})
			}
			parts = append(parts, c)
		}
		merge := func() (tlscounts.Counts, string) {
			sum := tlscounts.Counts{Day: "2026-11-28", Domain: "clinic.test"}
			for _, i := range random.Perm(len(parts)) {
				text, _ := json.Marshal(parts[i])
				var own tlscounts.Counts
				if err := json.Unmarshal(text, &own); err != nil {
					t.Fatal(err)
				}
				sum.Merge(&own)
			}
			text, _ := json.Marshal(sum.Report())
			return sum, string(text)
		}
		a, one := merge()
		b, two := merge()
		ok1, failed1, _ := a.Sum()
		ok2, failed2, _ := b.Sum()
		if ok1 != ok2 || failed1 != failed2 || kinds == 5 && one != two {
			t.Fatalf("seed %d: %s\n%s", seed, one, two)
		}
		for _, p := range a.Policies {
			var n int64
			for _, f := range p.Failures {
				n += f.Sessions
			}
			if n != p.Failed || len(p.Failures) > 200 || len(a.Policies) > 30 {
				t.Fatalf("seed %d: %d failures told of %d, %d kinds, %d policies", seed, n, p.Failed, len(p.Failures), len(a.Policies))
			}
		}
	}
}

func arbitrary(random *rand.Rand, kinds int) tlscounts.Policy {
	p := tlscounts.Policy{Type: []string{tlsrpt.TypeSTS, tlsrpt.TypeTLSA, tlsrpt.TypeNone}[random.IntN(3)], Domain: fmt.Sprintf("mx%d.test", random.IntN(kinds/5)), Succeeded: random.Int64N(5)}
	for i := range random.IntN(4) {
		n := int64(1 + random.IntN(3))
		p.Failed += n
		p.Failures = append(p.Failures, tlscounts.Failure{Result: "validation-failure", Code: fmt.Sprint(i), Sessions: n,
			ReceiverIP: netip.AddrFrom4([4]byte{192, 0, 2, byte(random.IntN(kinds))})})
	}
	return p
}

// Law: what is kept under a policy is each session to which it applied, once: as many as the attempts have.
func TestSumsAreThoseOfTheAttempts(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 2))
	r, b := open(t, memstore.New())
	outcomes := []func() attempt.Try{
		func() attempt.Try { return at(attempt.Modern, "", proved(), sts(policy.Enforced)) },
		func() attempt.Try {
			return at(attempt.Modern, policy.CertExpired, proved(policy.CertExpired), sts(policy.Enforced))
		},
		func() attempt.Try { return at(attempt.Modern, policy.ConnectTimeout, nil, sts(policy.Enforced)) },
		func() attempt.Try { return at(attempt.Modern, policy.StartTLSStripped, nil) },
	}
	var good, bad int64
	for range 2000 {
		n := random.IntN(len(outcomes))
		r.Emit(attempted(fmt.Sprintf("d%d.test", random.IntN(30)), noon, outcomes[n]()))
		switch n {
		case 0:
			good++
		case 1, 3:
			bad++
		}
		if random.IntN(100) == 0 {
			r.Flush(t.Context())
		}
	}
	r.Flush(t.Context())
	list, err := b.OfDay(t.Context(), "2026-11-28", "", 0)
	if err != nil || len(list) != 30 {
		t.Fatal(len(list), err)
	}
	for i := range list {
		ok, failed, _ := list[i].Sum()
		good, bad = good-ok, bad-failed
	}
	if good != 0 || bad != 0 {
		t.Errorf("seed %d: %d good and %d failed sessions are missing", seed, good, bad)
	}
}

// failing is a store that cannot be written for a while.
type failing struct {
	records.Store
	broken bool
}

func (f *failing) ChangeRecords(ctx context.Context, do func(t records.Tx) error) error {
	if f.broken {
		return errors.New("no disk")
	}
	return f.Store.ChangeRecords(ctx, do)
}

func TestWhatCannotBeWrittenIsWrittenLaterAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &failing{Store: memstore.New(), broken: true}
		b, warned := tlscounts.NewBook(disk), 0
		r, err := tlscounts.Open(t.Context(), b, fetched, func(error) { warned++ })
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		for i := range 6 {
			disk.broken = i < 3
			r.Emit(attempted("clinic.test", noon, at(attempt.Modern, "", proved())))
			time.Sleep(tlscounts.Interval)
			synctest.Wait()
		}
		stop()
		<-done
		if got := sums(t, b); warned < 3 || got["2026-11-28 clinic.test"] != "6 0 false" {
			t.Errorf("%d warnings, %v", warned, got)
		}
	})
}

func TestThereIsABoundOfDomains(t *testing.T) {
	b := tlscounts.NewBook(memstore.New())
	warned := 0
	r, err := tlscounts.Open(t.Context(), b, fetched, func(error) { warned++ })
	if err != nil {
		t.Fatal(err)
	}
	for i := range tlscounts.DomainsMost + 10 {
		r.Emit(attempted(fmt.Sprintf("d%d.test", i), noon, at(attempt.Modern, "", proved())))
	}
	r.Emit(attempted("d0.test", noon, at(attempt.Modern, "", proved())))
	r.Flush(t.Context())
	r.Emit(attempted("e1.test", noon, at(attempt.Modern, "", proved())))
	r.Flush(t.Context())
	names, err := b.Domains(t.Context(), "2026-11-28")
	if err != nil || len(names) != tlscounts.DomainsMost || warned != 1 {
		t.Errorf("%d domains, %d warnings, %v", len(names), warned, err)
	}
	if got := sums(t, b)["2026-11-28 d0.test"]; got != "2 0 false" {
		t.Errorf("one that was known: %s", got)
	}
}

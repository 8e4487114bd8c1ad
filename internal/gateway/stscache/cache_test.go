package stscache_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/gateway/stscache"
	"postern/internal/lab/testkit/stores"
	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/policy"
	"postern/internal/policy/sts"
)

const (
	announced = "_mta-sts.clinic.test TXT \"v=STSv1; id=1\"\n"
	changed   = "_mta-sts.clinic.test TXT \"v=STSv1; id=2\"\n"
	week      = 7 * 24 * time.Hour
	day       = 24 * time.Hour
)

func TestAPolicyIsFetchedOnceAndKept(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		found := w.want("enforce 1 fetched", "clinic.test")
		if !found.Policy.Matches(mail.MustDomain("mx.clinic.test")) || found.Until.Sub(found.Fetched) != week || found.Fault.Kind != "" {
			t.Errorf("%+v", found)
		}
		w.want("enforce 1 cache", "clinic.test")
		w.want("enforce 1 cache", "CLINIC.test.")
		w.want("no-record", "below.clinic.test") // RFC 8461 §3.4: never the parent's
		if n := w.hosts.count("clinic.test"); n != 1 {
			t.Errorf("fetched %d times", n)
		}
		w.cache.Close()
		w.cache = w.open(nil) // after a restart
		w.want("enforce 1 cache", "clinic.test")
		if n, told := w.hosts.count("clinic.test"), w.heard(); n != 0 || told != nil {
			t.Errorf("fetched %d times, told %v", n, told)
		}
	})
}

// Each fault without a kept policy: none for now, with a note, and not asked again for five minutes.
func TestWithoutAKeptPolicyAFailureIsNoneForNow(t *testing.T) {
	for _, c := range []struct {
		name, zone string
		serve      serve
		kind       stscache.Kind
		fault      bool
		fetches    int
	}{
		{"nothing is announced", "", publishes(sts.Enforce, week, "mx.clinic.test"), stscache.NoRecord, false, 0},
		{"a record about something else", `_mta-sts.clinic.test TXT "v=spf1 -all"`, publishes(sts.Enforce, week, "a.test"), stscache.NoRecord, false, 0},
		{"the servers cannot tell", "_mta-sts.clinic.test servfail", publishes(sts.Enforce, week, "a.test"), stscache.RecordUnknown, true, 0},
		{"nobody answers", "_mta-sts.clinic.test timeout", publishes(sts.Enforce, week, "a.test"), stscache.NotYet, true, 0},
		{"two records", announced + changed, publishes(sts.Enforce, week, "a.test"), stscache.RecordInvalid, true, 0},
		{"a record without id", `_mta-sts.clinic.test TXT "v=STSv1;"`, publishes(sts.Enforce, week, "a.test"), stscache.RecordInvalid, true, 0},
		{"no host", announced, nil, stscache.HostRefused, true, 1},
		{"no valid certificate", announced, refuses(stscache.Certificate), stscache.Certificate, true, 1},
		{"no policy", announced, refuses(stscache.PolicyInvalid), stscache.PolicyInvalid, true, 1},
		{"an error of no kind", announced, func(context.Context) (sts.Policy, error) { return sts.Policy{}, errors.New("x") }, "unknown-failure", true, 1},
	} {
		bubble(t, c.zone, nil, func(t *testing.T, w *world) {
			w.hosts.set("clinic.test", c.serve)
			for range 3 {
				found, note, err := w.cache.Policy(t.Context(), mail.MustDomain("clinic.test"))
				if found != nil || err != nil || note.Kind != c.kind || note.Fault() != c.fault || note.Text == "" {
					t.Errorf("%s: %+v, %+v, %v", c.name, found, note, err)
				}
				if want := map[bool]policy.Reason{true: policy.STSPolicyUnavailable}[c.fault]; note.Reason() != want {
					t.Errorf("%s: reason %q", c.name, note.Reason())
				}
			}
			if n := w.hosts.count("clinic.test"); n != c.fetches {
				t.Errorf("%s: fetched %d times", c.name, n)
			}
			if c.kind == stscache.NotYet {
				return
			}
			if told := w.heard(); len(told) > 1 || (len(told) == 1) != c.fault {
				t.Errorf("%s: told %v", c.name, told)
			}
			time.Sleep(5*time.Minute + time.Second)
			w.zone.Set(announced)
			w.hosts.set("clinic.test", publishes(sts.Testing, week, "mx.clinic.test"))
			w.want("testing 1 fetched", "clinic.test")
		})
	}
}

// What is kept withstands whoever hides record and host until max_age has passed.
func TestAKeptPolicyCountsUntilItsEndWhateverIsHidden(t *testing.T) {
	for name, c := range map[string]struct {
		zone  string
		serve serve
		kind  string
	}{
		"the record vanished":          {"clinic.test A 192.0.2.1", nil, "record-gone"},
		"the record cannot be asked":   {"_mta-sts.clinic.test servfail", nil, "host-refused"},
		"the record is silent":         {"_mta-sts.clinic.test timeout", nil, "host-refused"},
		"the host is gone":             {changed, nil, "host-refused"},
		"the host has a bad name":      {changed, refuses(stscache.Certificate), "certificate"},
		"the policy became unreadable": {changed, refuses(stscache.PolicyInvalid), "policy-invalid"},
		"a second record was smuggled": {announced + changed, publishes(sts.None, day), "record-invalid"},
		"the host drips for ever":      {changed, after(time.Hour, publishes(sts.None, day)), "host-silent"},
	} {
		bubble(t, announced, nil, func(t *testing.T, w *world) {
			w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
			until := w.want("enforce 1 fetched", "clinic.test").Until
			w.zone.Set(c.zone)
			w.hosts.set("clinic.test", c.serve)
			w.run(week - time.Hour)
			if found := w.want("enforce 1 cache", "clinic.test"); found != nil && (string(found.Fault.Kind) != c.kind || found.Fault.Text == "" || !found.Until.Equal(until)) {
				t.Errorf("%s: %+v", name, found)
			}
			if told := w.heard(); len(told) < 3 || told[0] != "clinic.test "+c.kind+" kept=true" && c.kind != "host-refused" {
				t.Errorf("%s: told %v", name, told)
			}
			w.wantAgain("enforce 1 cache", "clinic.test")
			w.run(2 * time.Hour)
			if found, _, err := w.cache.Policy(t.Context(), mail.MustDomain("clinic.test")); found != nil || err != nil {
				t.Errorf("%s: after the end %+v, %v", name, found, err)
			}
			if n, err := records.Read(t.Context(), w.store, func(r records.Reader) (int, error) { return r.Count("sts-policy") }); err != nil || n != 0 {
				t.Errorf("%s: %d are left, %v", name, n, err)
			}
		})
	}
}

func TestAPolicyOfModeNoneReplacesOneThatEnforces(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		w.want("enforce 1 fetched", "clinic.test")
		w.hosts.set("clinic.test", publishes(sts.None, day))
		w.zone.Set(changed)
		w.want("enforce 1 cache", "clinic.test")
		w.run(day)
		w.want("none 2 cache", "clinic.test")
		w.zone.Set("") // the workflow of RFC 8461 §8.3 to its end
		w.hosts.set("clinic.test", nil)
		w.run(2 * day)
		w.want("no-record", "clinic.test")
		if told := w.heard(); told != nil {
			t.Errorf("told %v of a domain that took its policy back", told)
		}
	})
}

func TestAChangedIDFetchesInTimeAndAnUnchangedOneDoesNot(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Testing, week, "mx.clinic.test"))
		first := w.want("testing 1 fetched", "clinic.test")
		w.run(3 * day)
		if n := w.hosts.count("clinic.test"); n != 1 {
			t.Errorf("fetched %d times within less than half of max_age", n)
		}
		if found := w.want("testing 1 cache", "clinic.test"); !found.Until.Equal(first.Until) {
			t.Error("an unchanged id extended the policy")
		}
		w.run(2 * day) // less than half is left
		if found := w.want("testing 1 cache", "clinic.test"); w.hosts.count("clinic.test") != 1 || !found.Until.After(first.Until.Add(2*day)) {
			t.Errorf("not refreshed ahead of its end: %+v", found)
		}
		w.zone.Set(changed)
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		w.run(day)
		w.want("enforce 2 cache", "clinic.test")
		w.run(60 * day) // used a moment ago
		w.want("enforce 2 cache", "clinic.test")
	})
}

func TestAPolicyThatNobodyNeedsIsLeftToItsEnd(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		w.want("enforce 1 fetched", "clinic.test")
		w.run(50 * day)
		w.want("enforce 1 cache", "clinic.test") // needed once more
		w.run(50 * day)
		if n := w.hosts.count("clinic.test"); n < 20 {
			t.Errorf("fetched %d times in 100 days", n)
		}
		w.run(40 * day)
		w.hosts.count("clinic.test")
		if list, err := w.cache.List(t.Context(), "", 10); err != nil || len(list) != 0 {
			t.Errorf("still kept: %+v, %v", list, err)
		}
		w.run(10 * day)
		if n := w.hosts.count("clinic.test"); n != 0 {
			t.Errorf("fetched %d times though nobody needs it", n)
		}
	})
}

func TestAgainFetchesWhateverTheIDIsButNotOften(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "old.clinic.test"))
		w.want("enforce 1 fetched", "clinic.test")
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "new.clinic.test")) // and the record was forgotten
		w.wantAgain("enforce 1 cache", "clinic.test")                               // it was fetched a moment ago
		time.Sleep(5*time.Minute + time.Second)
		w.hosts.count("clinic.test")
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				found, _, err := w.cache.Again(t.Context(), mail.MustDomain("clinic.test"))
				if err != nil || found == nil || !found.Policy.Matches(mail.MustDomain("new.clinic.test")) {
					t.Errorf("%+v, %v", found, err)
				}
			})
		}
		group.Wait()
		w.wantAgain("enforce 1 cache", "clinic.test")
		if n := w.hosts.count("clinic.test"); n != 1 {
			t.Errorf("fetched %d times", n)
		}
		w.wantAgain("no-record", "other.test")

		time.Sleep(6 * time.Minute) // a slow host: the old one counts meanwhile
		w.hosts.set("clinic.test", after(30*time.Second, publishes(sts.None, day)))
		began := time.Now()
		w.wantAgain("enforce 1 cache", "clinic.test")
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("waited %v", took)
		}
		time.Sleep(30 * time.Second)
		w.want("none 1 cache", "clinic.test")

		time.Sleep(6 * time.Minute) // a failure is noted and limited too
		w.hosts.set("clinic.test", refuses(stscache.BadStatus))
		w.hosts.count("clinic.test")
		for range 3 {
			if found := w.wantAgain("none 1 cache", "clinic.test"); found.Fault.Kind != stscache.BadStatus {
				t.Errorf("%+v", found)
			}
		}
		if n := w.hosts.count("clinic.test"); n != 1 {
			t.Errorf("fetched %d times after a failure", n)
		}
	})
}

func TestTheFirstMailWaitsOnlySoLongAndTheNextFindsIt(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", after(25*time.Second, publishes(sts.Enforce, week, "mx.clinic.test")))
		began := time.Now()
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() { w.want("not-yet", "clinic.test") })
		}
		group.Wait()
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("waited %v", took)
		}
		w.want("not-yet", "clinic.test") // who comes later does not wait again
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("waited %v", took)
		}
		_, note, _ := w.cache.Policy(t.Context(), mail.MustDomain("clinic.test"))
		if want := "the domain announces a policy that could not be fetched within 10s; the fetch goes on"; note.Text != want || note.Kind.TLSRPT() != "" {
			t.Errorf("%+v", note)
		}
		time.Sleep(16 * time.Second)
		w.want("enforce 1 cache", "clinic.test")
		if n := w.hosts.count("clinic.test"); n != 1 {
			t.Errorf("fetched %d times", n)
		}
	})
}

func TestAHostThatHangsIsLeftAfterAMinute(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", after(time.Hour, publishes(sts.Enforce, week, "mx.clinic.test")))
		w.want("not-yet", "clinic.test")
		time.Sleep(51 * time.Second)
		began := time.Now()
		w.want("host-silent", "clinic.test")
		if time.Since(began) != 0 || w.hosts.count("clinic.test") != 1 {
			t.Error("it was asked again at once")
		}
	})
}

func TestSlowHostsDelayNoOtherDomain(t *testing.T) {
	var zone strings.Builder
	for i := range 13 {
		fmt.Fprintf(&zone, "_mta-sts.slow%d.test TXT \"v=STSv1; id=1\"\n", i)
	}
	zone.WriteString(announced)
	bubble(t, zone.String(), nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		slow := func(n int) {
			var group sync.WaitGroup
			for i := range n {
				name := fmt.Sprintf("slow%d.test", i)
				w.hosts.set(name, after(time.Hour, publishes(sts.Enforce, week, "a.test")))
				group.Go(func() { w.want("not-yet", name) })
			}
			group.Wait()
		}
		slow(9)
		began := time.Now()
		w.want("enforce 1 fetched", "clinic.test") // nine hang, and one slot is left
		w.want("no-record", "other.test")
		if took := time.Since(began); took != 0 {
			t.Errorf("waited %v", took)
		}
		if forgot, err := w.cache.Forget(t.Context(), mail.MustDomain("clinic.test")); err != nil || !forgot {
			t.Fatal(forgot, err)
		}
		time.Sleep(time.Minute)
		time.Sleep(5 * time.Minute)
		slow(13)
		if n := w.hosts.peak(); n != 10 {
			t.Errorf("%d fetches at a time", n)
		}
		began = time.Now()
		w.want("no-record", "another.test") // most domains announce nothing and need no slot
		if took := time.Since(began); took != 0 {
			t.Errorf("waited %v", took)
		}
		w.want("not-yet", "clinic.test")
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("waited %v", took)
		}
		time.Sleep(45 * time.Second) // the slots are free again, and what waited went on
		w.want("enforce 1 cache", "clinic.test")
	})
}

func TestRenewalsLeaveSlotsForMail(t *testing.T) {
	var zone strings.Builder
	for i := range 30 {
		fmt.Fprintf(&zone, "_mta-sts.old%d.test TXT \"v=STSv1; id=1\"\n", i)
	}
	zone.WriteString(announced)
	bubble(t, zone.String(), nil, func(t *testing.T, w *world) {
		for i := range 30 {
			name := fmt.Sprintf("old%d.test", i)
			w.hosts.set(name, publishes(sts.Enforce, 3*day, "a.test"))
			w.want("enforce 1 fetched", name)
			w.hosts.set(name, after(time.Hour, publishes(sts.Enforce, 3*day, "a.test")))
		}
		w.hosts.peak()
		time.Sleep(2*day + 12*time.Hour) // all are due at once
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { _ = w.cache.Run(ctx) })
		time.Sleep(time.Minute)
		if n := w.hosts.peak(); n != 4 {
			t.Errorf("%d renewals at a time", n)
		}
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		began := time.Now()
		w.want("enforce 1 fetched", "clinic.test")
		if took := time.Since(began); took != 0 {
			t.Errorf("waited %v", took)
		}
		cancel()
		group.Wait()
	})
}

func TestRenewalsAreSpreadOverTime(t *testing.T) {
	var zone strings.Builder
	for i := range 100 {
		fmt.Fprintf(&zone, "_mta-sts.d%d.test TXT \"v=STSv1; id=1\"\n", i)
	}
	bubble(t, zone.String(), nil, func(t *testing.T, w *world) {
		for i := range 100 {
			w.hosts.set(fmt.Sprintf("d%d.test", i), publishes(sts.Enforce, 30*day, "a.test"))
			w.want("enforce 1 fetched", fmt.Sprintf("d%d.test", i))
		}
		list, err := w.cache.List(t.Context(), "", 1000)
		if err != nil || len(list) != 100 {
			t.Fatalf("%d, %v", len(list), err)
		}
		var waits []time.Duration
		for _, k := range list {
			waits = append(waits, k.Due.Sub(k.Fetched))
		}
		slices.Sort(waits)
		if waits[0] < 12*time.Hour || waits[99] > day || waits[90]-waits[10] < 6*time.Hour {
			t.Errorf("from %v to %v, most between %v and %v", waits[0], waits[99], waits[10], waits[90])
		}
	})
}

func TestTheStoreThatDoesNotAnswerIsNeverNoPolicy(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		w.store.down.Store(true)
		w.want("error: the store is down", "clinic.test")
		w.want("error: the store is down", "nothing.test")
		w.store.down.Store(false)
		w.store.readonly.Store(true)
		w.want("error: the store is down", "clinic.test") // it could not be kept
		w.store.readonly.Store(false)
		w.want("enforce 1 fetched", "clinic.test")
		w.want("no-record", "nothing.test")
		w.store.down.Store(true)
		time.Sleep(2 * time.Minute)
		w.want("enforce 1 cache", "clinic.test") // memory knows that it counts, whatever the store would say
		w.want("error: the store is down", "nothing.test")
		w.wantAgain("enforce 1 cache", "clinic.test")
		w.run(2 * time.Minute)
		time.Sleep(week)
		w.want("error: the store is down", "clinic.test")
	})
}

func TestWhoLeavesIsToldSoAndNotThatThereIsNone(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", after(5*time.Second, publishes(sts.Enforce, week, "mx.clinic.test")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if found, note, err := w.cache.Policy(ctx, mail.MustDomain("clinic.test")); found != nil || note != (stscache.Note{}) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v, %+v, %v", found, note, err)
		}
		time.Sleep(5 * time.Second)
		w.want("enforce 1 cache", "clinic.test")
	})
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", after(5*time.Second, publishes(sts.Enforce, week, "mx.clinic.test")))
		var group sync.WaitGroup
		group.Go(func() { w.want("error: stscache: closed", "clinic.test") })
		time.Sleep(time.Second)
		w.cache.Close()
		group.Wait()
		w.want("error: stscache: closed", "clinic.test")
	})
}

func TestAMaxAgeOfNothingCountsUntilTheHostMayBeAskedAgain(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, 0, "mx.clinic.test"))
		w.want("enforce 1 fetched", "clinic.test")
		time.Sleep(4 * time.Minute)
		w.want("enforce 1 cache", "clinic.test")
		time.Sleep(time.Minute)
		w.want("enforce 1 fetched", "clinic.test")
	})
}

func TestNamesThatCanAnnounceNothingAreNotAsked(t *testing.T) {
	bubble(t, "", nil, func(t *testing.T, w *world) {
		long := strings.Repeat("a23456789.", 24) + "test" // 244 octets; with _mta-sts. 253, with one more label too many
		for _, name := range []string{"[192.0.2.1]", "[IPv6:2001:db8::1]", long + ".example"} {
			w.want("no-record", name)
			if _, note, err := w.cache.Refresh(t.Context(), mail.MustDomain(name)); note.Kind != stscache.NoRecord || err != nil {
				t.Errorf("%s: %+v, %v", name, note, err)
			}
		}
		if n := w.zone.Asked(); n != 0 {
			t.Errorf("%d questions", n)
		}
	})
}

func TestTheDeskListsShowsRefreshesAndForgets(t *testing.T) {
	zone := announced + "_mta-sts.bank.test TXT \"v=STSv1; id=7\"\n_mta-sts.law.test TXT \"v=STSv1; id=8\"\n"
	bubble(t, zone, nil, func(t *testing.T, w *world) {
		ctx := t.Context()
		for _, name := range []string{"clinic.test", "bank.test", "law.test"} {
			w.hosts.set(name, publishes(sts.Enforce, week, "mx."+name))
			w.want(map[string]string{"clinic.test": "enforce 1 fetched", "bank.test": "enforce 7 fetched", "law.test": "enforce 8 fetched"}[name], name)
		}
		names := func(after string, most int) (out []string) {
			list, err := w.cache.List(ctx, after, most)
			if err != nil {
				t.Error(err)
			}
			for _, k := range list {
				out = append(out, k.Domain.String())
			}
			return out
		}
		if a, b := names("", 2), names("clinic.test", 2); !reflect.DeepEqual(a, []string{"bank.test", "clinic.test"}) || !reflect.DeepEqual(b, []string{"law.test"}) {
			t.Error(a, b)
		}
		clinic := mail.MustDomain("clinic.test")
		shown, _, err := w.cache.Show(ctx, clinic)
		if err != nil || shown == nil || shown.ID != "1" || shown.Policy.MX[0] != "mx.clinic.test" || !shown.Failing.IsZero() || shown.Used.IsZero() {
			t.Errorf("%+v, %v", shown, err)
		}
		w.hosts.set("clinic.test", refuses(stscache.Certificate))
		if found, note, err := w.cache.Refresh(ctx, clinic); err != nil || found == nil || note.Kind != "" || found.Fault.Kind != stscache.Certificate {
			t.Errorf("%+v, %+v, %v", found, note, err)
		}
		if shown, _, _ := w.cache.Show(ctx, clinic); shown.Failing.IsZero() || shown.Fault.Kind != stscache.Certificate {
			t.Errorf("%+v", shown)
		}
		w.hosts.set("clinic.test", after(40*time.Second, publishes(sts.Testing, week, "mx.clinic.test")))
		if found, _, err := w.cache.Refresh(ctx, clinic); err != nil || found.Policy.Mode != sts.Testing || found.Source != stscache.FromFetched || found.Fault.Kind != "" {
			t.Errorf("%+v, %v", found, err)
		}
		if there, err := w.cache.Forget(ctx, clinic); !there || err != nil {
			t.Error(there, err)
		}
		if there, err := w.cache.Forget(ctx, clinic); there || err != nil {
			t.Error(there, err)
		}
		if shown, _, err := w.cache.Show(ctx, clinic); shown != nil || err != nil {
			t.Errorf("%+v, %v", shown, err)
		}
		w.hosts.set("clinic.test", nil)
		w.want("host-refused", "clinic.test")
		if shown, note, err := w.cache.Show(ctx, clinic); shown != nil || note.Kind != stscache.HostRefused || err != nil {
			t.Errorf("%+v, %+v, %v", shown, note, err)
		}
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		w.want("host-refused", "clinic.test")
		if _, err := w.cache.Forget(ctx, clinic); err != nil {
			t.Error(err)
		}
		w.want("enforce 1 fetched", "clinic.test")
	})
}

// Two gateways on one store: what one fetched the other has, one of them renews, and what one forgets the other
// forgets.
func TestGatewaysShareWhatIsKept(t *testing.T) {
	bubble(t, announced, nil, func(t *testing.T, w *world) {
		w.hosts.set("clinic.test", publishes(sts.Enforce, week, "mx.clinic.test"))
		other := w.open(nil)
		defer other.Close()
		if _, note, err := other.Policy(t.Context(), mail.MustDomain("clinic.test")); err != nil || note.Kind != "" {
			t.Fatal(note, err)
		}
		w.want("enforce 1 cache", "clinic.test")
		w.hosts.count("clinic.test")
		ctx, cancel := context.WithTimeout(t.Context(), 5*day)
		defer cancel()
		var group sync.WaitGroup
		group.Go(func() { _ = w.cache.Run(ctx) })
		group.Go(func() { _ = other.Run(ctx) })
		group.Wait()
		if n := w.hosts.count("clinic.test"); n != 1 {
			t.Errorf("renewed %d times", n)
		}
		w.want("enforce 1 cache", "clinic.test")
		if there, err := other.Forget(t.Context(), mail.MustDomain("clinic.test")); !there || err != nil {
			t.Error(there, err)
		}
		w.hosts.set("clinic.test", nil)
		time.Sleep(time.Minute)
		w.want("host-refused", "clinic.test")
	})
}

func TestPoliciesOutliveTheProcessOnEveryStore(t *testing.T) {
	stores.Each(t, func(t *testing.T, s records.Store, again func() records.Store) {
		h := &hosts{serve: map[string]serve{}, asked: map[string]int{}}
		h.set("clinic.test", func(context.Context) (sts.Policy, error) {
			return sts.ParsePolicy([]byte("version: STSv1\nmode: enforce\nmx: *.Clinic.test\nmax_age: 604800\nx: y\n"))
		})
		clinic := mail.MustDomain("clinic.test")
		cache := stscache.New(stscache.Config{Store: s, Resolver: texts{"v=STSv1; id=1"}, Fetcher: h})
		first, _, err := cache.Policy(t.Context(), clinic)
		if err != nil || first == nil || len(first.Policy.Oddities) != 2 {
			t.Fatalf("%+v, %v", first, err)
		}
		cache.Close()
		cache = stscache.New(stscache.Config{Store: again(), Resolver: texts{"v=STSv1; id=1"}, Fetcher: h})
		defer cache.Close()
		found, _, err := cache.Policy(t.Context(), clinic)
		first.Source = stscache.FromCache
		if err != nil || !reflect.DeepEqual(found, first) || h.count("clinic.test") != 1 {
			t.Errorf("%+v, %v; want %+v", found, err, first)
		}
		if list, err := cache.List(t.Context(), "", 10); err != nil || len(list) != 1 || list[0].Domain != clinic {
			t.Errorf("%+v, %v", list, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := cache.Run(ctx); err != nil {
			t.Error(err)
		}
		if there, err := cache.Forget(t.Context(), clinic); !there || err != nil {
			t.Error(there, err)
		}
	})
}

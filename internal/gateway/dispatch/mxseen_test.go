package dispatch_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/policy"
	"postern/internal/policy/mxpins"
	"postern/internal/queue"
)

// withBackup is the domain's own host and, behind it, one of another party; nobody signed it.
const withBackup = `
!clinic.test      MX 10 mx.clinic.test
!clinic.test      MX 20 mx.backup.test
mx.clinic.test    A 192.0.2.10
mx.backup.test    A 192.0.2.11
`

// TestAFirstUseTrustsOnlyTheHostThatWasUsed: the other names of the answer are seen, and get no mail when the one used
// is down, until somebody has been asked.
func TestAFirstUseTrustsOnlyTheHostThatWasUsed(t *testing.T) {
	story(t, func(w *world) {
		w.zone(withBackup)
		backup := w.host("mx.backup.test", "192.0.2.11")
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if got := w.pinned(); !slices.Equal(got, []string{"clinic backup.test seen", "clinic clinic.test first-use"}) {
			t.Fatalf("pinned %q", got)
		}
		w.clinic.Close()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(30 * time.Minute)
		rec := w.last()
		if rec.State != queue.Queued || rec.SiteState.Last.Reason != policy.MXChanged || spoke(backup) {
			t.Fatalf("%v %+v, spoke %v", rec.State, rec.SiteState.Last, spoke(backup))
		}
		if text := rec.SiteState.Last.Text; !strings.Contains(text, "it was seen beside them at the first use on 2000-01-01") {
			t.Errorf("it says: %s", text)
		}
		told := w.told()
		if len(told) != 1 || !slices.Equal(told[0].Seen, []string{"backup.test"}) || !told[0].Waits {
			t.Errorf("told %+v", told)
		}
		approved := []mxpins.Pin{{Domain: "clinic.test", Rule: "clinic", Name: "backup.test", Since: time.Now(), By: "administrator"}}
		if _, err := mxpins.NewBook(w.store).Remember(t.Context(), false, approved); err != nil {
			t.Fatal(err)
		}
		w.d.Kick(t.Context(), rec.Site)
		time.Sleep(10 * time.Second)
		if rec := w.last(); rec.State != queue.Delivered || len(backup.Messages()) != 1 {
			t.Errorf("approved: %v, %d messages", rec.State, len(backup.Messages()))
		}
	})
}

// TestAFirstUseBehindAHostThatIsDown: what took the mail is trusted, and the first in order is the one that was only
// seen.
func TestAFirstUseBehindAHostThatIsDown(t *testing.T) {
	story(t, func(w *world) {
		w.zone(withBackup)
		w.clinic.Close()
		backup := w.host("mx.backup.test", "192.0.2.11")
		w.apply(clinicRule)
		w.start()
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if got := w.pinned(); !slices.Equal(got, []string{"clinic backup.test first-use", "clinic clinic.test seen"}) || len(backup.Messages()) != 1 {
			t.Fatalf("pinned %q, %d messages", got, len(backup.Messages()))
		}
		home := w.host("mx.clinic.test", "192.0.2.10")
		w.accept("a@example.test", nil, "dr@clinic.test")
		time.Sleep(10 * time.Second)
		if rec := w.last(); rec.State != queue.Delivered || spoke(home) || len(backup.Messages()) != 2 {
			t.Errorf("%v, spoke %v, %d messages", rec.State, spoke(home), len(backup.Messages()))
		}
		if told := w.told(); len(told) != 1 || told[0].Waits || !slices.Equal(told[0].Seen, []string{"clinic.test"}) {
			t.Errorf("told %+v", told)
		}
	})
}

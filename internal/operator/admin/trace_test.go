package admin

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/operator/scope"
	"postern/internal/operator/trace"
	"postern/internal/policy"
	"postern/internal/queue"
)

var update = flag.Bool("update", false, "write the golden file anew")

func TestTheTraceObjectHasItsStableNames(t *testing.T) {
	s, _, _ := service(t)
	var got strings.Builder
	for _, tr := range traces(t, s, trace.Query{}) {
		text, err := json.MarshalIndent(tr, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		got.Write(append(text, '\n'))
		var object map[string]any
		if err := json.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		for name := range strings.FieldsSeq(`message message_id from to state rule requires reached reason mx ip tls_version cipher bits
			group cert_subject cert_issuer cert_not_after cert_sha256 attempts accepted_at expires_at next_attempt_at finished_at inbound_tls`) {
			if _, ok := object[name]; !ok {
				t.Errorf("%s: no field %s", tr.Message, name)
			}
		}
	}
	golden := filepath.Join("testdata", "traces.golden.json")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the trace differs from %s (run with -update after a wanted change):\n%s", golden, got.String())
	}
}

func TestAnUntriedDeliveryTellsWhyItsSiteFails(t *testing.T) {
	s, _, _ := service(t)
	got := one(t, s, backlog.Untried, "")
	if got.Reason != "cert-expired" || got.MX != "mx.clinic.test" || got.CertNotAfter == nil || got.AttemptCount != 0 || len(got.Attempts) != 0 ||
		got.SiteAttempt == nil || !slices.Equal(got.ExpectedNames, []string{"mx.clinic.test"}) {
		t.Errorf("%+v", got)
	}
	if want := backlog.Noon.Add(70 * time.Minute); got.NextAttemptAt == nil || !got.NextAttemptAt.Equal(want) {
		t.Errorf("next try %v, want the site's, %v", got.NextAttemptAt, want)
	}
}

func TestTheTraceOfADeliveredOneSaysWhyNotBetter(t *testing.T) {
	s, _, _ := service(t)
	if got := one(t, s, backlog.Waiting, "x@plain.test"); got.Reached != "plaintext" || got.Reason != "starttls-not-offered" || got.FinishedAt == nil ||
		got.NextAttemptAt != nil || got.TLSVersion != "" || got.Status != "2.0.0" {
		t.Errorf("%+v", got)
	}
	if got := one(t, s, backlog.Good, ""); got.Reached != "authenticated" || got.Reason != "" || got.InboundTLS == nil || got.Group != "X25519MLKEM768" {
		t.Errorf("%+v", got)
	}
	if got := one(t, s, backlog.Refused, ""); got.Status != "5.1.1" || got.Reason != "remote-5xx" || !strings.HasPrefix(got.Reply, "550 5.1.1 no such user") {
		t.Errorf("%+v", got)
	}
	if got := one(t, s, backlog.Notice, ""); got.Held == "" || got.Kind != "dsn" || got.About != string(backlog.Waiting) || got.InboundTLS != nil {
		t.Errorf("%+v", got)
	}
}

func TestTracesAreReadInPagesAndNeverTwice(t *testing.T) {
	s, store, _ := service(t)
	const many = 417
	for i := range many {
		body, err := store.NewDraft(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m := queue.Message{ID: queue.NewID(backlog.Noon.Add(time.Hour), uint32(i)), AcceptedAt: backlog.Noon.Add(time.Hour)}
		d := queue.NewDelivery{NextHop: "mx:many.test", Delivery: queue.Delivery{Recipient: mail.Recipient{Address: mail.MustAddress("m@many.test")}}}
		if err := store.Accept(t.Context(), &queue.Submission{Message: m, Deliveries: []queue.NewDelivery{d}, Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[int64]bool{}
	for _, tr := range traces(t, s, trace.Query{Recipient: "many.test"}) {
		if seen[tr.Delivery] {
			t.Fatalf("delivery %d came twice", tr.Delivery)
		}
		seen[tr.Delivery] = true
	}
	if len(seen) != many {
		t.Errorf("%d deliveries, want %d", len(seen), many)
	}
	for _, size := range []int{7, many - 1, many, many + 5} {
		if n := len(pages(t, s.For(everywhere(access.Auditor)), trace.Query{Recipient: "many.test"}, size)); n != many {
			t.Errorf("pages of %d gave %d", size, n)
		}
	}
}

func TestQueriesThatCannotBeMeantAreRefused(t *testing.T) {
	s, _, _ := service(t)
	for _, q := range []trace.Query{{States: []string{"lost"}}, {Reason: "bad-weather"}, {Domain: "no domain"}, {Limit: -1}, {Reached: "well"}} {
		_, got := s.For(everywhere(access.Auditor)).Traces(t.Context(), q, scope.PageRequest{})
		if !errors.Is(got, access.ErrBadRequest) {
			t.Errorf("%+v: %v", q, got)
		}
	}
	if n := len(traces(t, s, trace.Query{States: trace.WaitingStates(), Reason: "cert-expired", Rule: "clinic"})); n != 2 {
		t.Errorf("%d deliveries wait for the certificate, want 2", n)
	}
	for _, c := range []struct {
		q    trace.Query
		want int
	}{{trace.Query{Reached: "authenticated"}, 1}, {trace.Query{Reached: "plaintext"}, 1}, {trace.Query{Requires: "authenticated", States: trace.WaitingStates()}, 3}, {trace.Query{Host: "MX.*.test", Reached: "authenticated"}, 1},
		{trace.Query{Host: "192.0.2.20"}, 1}, {trace.Query{Host: "mx.else.test"}, 0}, {trace.Query{Site: string(queue.NewSiteKey("mx:clinic.test", backlog.Forced()))}, 2}} {
		if n := len(traces(t, s, c.q)); n != c.want {
			t.Errorf("%+v: %d, want %d", c.q, n, c.want)
		}
	}
}

func TestWhatASearchFindsIsActedOn(t *testing.T) {
	s, _, _ := service(t)
	d := s.For(everywhere(access.Operator))
	out, err := d.ActOn(t.Context(), trace.Query{Reason: "cert-expired"}, queue.Hold)
	if err != nil || out.Changed != 2 {
		t.Fatalf("%+v, %v", out, err)
	}
	if n := len(traces(t, s, trace.Query{States: []string{"held"}, Reason: "cert-expired"})); n != 2 {
		t.Errorf("%d are held", n)
	}
	_, err = d.ActOn(t.Context(), trace.Query{Recipient: "nobody.test"}, queue.Retry)
	refused(t, "nothing found", err, access.ErrNotFound)
	_, err = d.ActOn(t.Context(), trace.Query{States: []string{"delivered"}}, queue.Cancel)
	refused(t, "what is finished", err, access.ErrBadRequest)
	_, err = s.For(everywhere(access.Auditor)).ActOn(t.Context(), trace.Query{}, queue.Cancel)
	refused(t, "an auditor", err, access.ErrForbidden)
	_, err = s.For(within(access.Operator, "else.test")).ActOn(t.Context(), trace.Query{}, queue.Cancel)
	refused(t, "beyond the scope", err, access.ErrNotFound)
}

func TestARefusalOfOurOwnKeepsItsStatus(t *testing.T) {
	r := queue.Record{Delivery: queue.Delivery{State: queue.Failed, Reason: policy.Remote5xx, History: []attempt.Attempt{
		{At: backlog.Noon, Reason: policy.Remote5xx, Text: "554 5.6.3 no conversion", Status: "6.3"}}}}
	if got := trace.Of(&r); got.Status != "5.6.3" || got.Reply != "" {
		t.Errorf("status %q, reply %q", got.Status, got.Reply)
	}
}

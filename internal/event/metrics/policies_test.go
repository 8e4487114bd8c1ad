package metrics

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"postern/internal/event"
	"postern/internal/gateway/stscache"
)

func TestPoliciesThatCannotBeHadAreCountedByTheirFaults(t *testing.T) {
	var known []string
	for _, k := range stscache.Faults() {
		known = append(known, string(k))
	}
	if !slices.Equal(known, faults) {
		t.Errorf("metrics knows %q, stscache has %q", faults, known)
	}
	m := New(nil)
	m.Emit(event.PolicyUnavailable{Domain: "clinic.test", Fault: "certificate"})
	m.Emit(event.PolicyUnavailable{Domain: "clinic.test", Fault: "certificate", Repeated: true})
	m.Emit(event.PolicyUnavailable{Domain: "bank.test", Fault: "of a newer release", Kept: true})
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{`postern_policies_unavailable_total{fault="certificate",kept="no"} 2`, `postern_warnings_total 2`,
		`postern_policies_unavailable_total{fault="other",kept="yes"} 1`, `postern_policies_unavailable_total{fault="busy",kept="no"} 0`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
}

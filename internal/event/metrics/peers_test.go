package metrics

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"postern/internal/event"
	"postern/internal/history/peers"
)

func TestChangesOfPeersAreCountedByTheirKinds(t *testing.T) {
	var known []string
	for _, k := range peers.ChangeKinds() {
		known = append(known, string(k))
	}
	if !slices.Equal(known, changes) {
		t.Errorf("metrics knows %q, peers has %q", changes, known)
	}
	m := New(nil)
	m.Emit(event.PeerChanged{Host: "mx.clinic.test", Change: "tls-lost"})
	m.Emit(event.PeerChanged{Host: "mx.clinic.test", Change: "of a newer release"})
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{`postern_peer_changes_total{change="tls-lost"} 1`, `postern_peer_changes_total{change="other"} 1`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
}

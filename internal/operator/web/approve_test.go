package web

import (
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/policy"
	"postern/internal/policy/mxpins"
)

// TestThePageApprovesExactlyTheNameItShows: DNS names a third party's host by then, and that stays a stranger.
func TestThePageApprovesExactlyTheNameItShows(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	at := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	pin := func(name, by string) mxpins.Pin {
		return mxpins.Pin{Domain: "clinic.test", Rule: "clinic", Name: name, Since: at, By: by}
	}
	if _, err := mxpins.NewBook(b.store).Remember(t.Context(), true, []mxpins.Pin{pin("clinic.test", policy.MXByFirstUse), pin("backup.test", mxpins.Seen)}); err != nil {
		t.Fatal(err)
	}
	shown := b.get("/destinations/clinic.test").has(b, 200, "Not trusted", `name="name" value="backup.test"`, "Approve backup.test")
	b.wellMade(shown)
	trusted := func() (out []string) {
		pins, err := mxpins.NewBook(b.store).Pins(t.Context(), "clinic.test")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pins {
			if p.Trusted() {
				out = append(out, p.Name)
			}
		}
		return out
	}
	b.post("/destinations/clinic.test/approve").has(b, 400, "Name what you approve")
	b.post("/destinations/clinic.test/approve", "name", "gone.test").has(b, 400, "no mail host of clinic.test now")
	if got := trusted(); !slices.Equal(got, []string{"clinic.test"}) {
		t.Errorf("trusted: %q", got)
	}
	b.post("/destinations/clinic.test/approve", "name", "backup.test")
	if got := trusted(); !slices.Equal(got, []string{"backup.test", "clinic.test"}) {
		t.Errorf("trusted: %q", got)
	}
	if p := b.get("/destinations/clinic.test").has(b, 200); strings.Contains(p.text, "Not trusted") {
		t.Error("what was approved is still a stranger")
	}
}

package server

import (
	"slices"
	"testing"

	"postern/internal/event"
)

// heard is a sink that remembers.
type heard struct{ what []string }

// Emit remembers a warning.
func (h *heard) Emit(e event.Event) { h.what = append(h.what, e.(event.Warned).What) }

func TestTheBusTellsThoseWhoListenAndNobodyMoreOnceItIsSealed(t *testing.T) {
	var first, second heard
	b := newBus(&first)
	b.Emit(event.Warned{What: "early"})
	before := b.listeners()
	b.subscribe(&second)
	before.Emit(event.Warned{What: "own"})
	b.seal()
	b.Emit(event.Warned{What: "late"})
	if want := []string{"early", "own", "late"}; !slices.Equal(first.what, want) {
		t.Errorf("the first sink heard %v, want %v", first.what, want)
	}
	if want := []string{"late"}; !slices.Equal(second.what, want) {
		t.Errorf("the second sink heard %v, want %v", second.what, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("a sink subscribed to a bus that is sealed")
		}
	}()
	b.subscribe(&first)
}

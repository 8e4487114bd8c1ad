package sqlstore

import (
	"testing"
	"time"

	"postern/internal/policy/mxpins"
	"postern/internal/queue/storetest"
)

func TestPins(t *testing.T) {
	storetest.Pins(t, func(t *testing.T) mxpins.Book {
		s := open(t, t.TempDir())
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}

func TestPinsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	pin := mxpins.Pin{Domain: "clinic.test", Rule: "clinic", Name: "clinic.test", By: "first-use",
		Since: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	s := open(t, dir)
	if _, err := s.Remember(t.Context(), true, []mxpins.Pin{pin}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	if pins, err := s.Pins(t.Context(), "clinic.test"); err != nil || len(pins) != 1 || pins[0] != pin {
		t.Errorf("%v, %v", pins, err)
	}
}

func TestADatabaseOfFormOneGetsRoomForPins(t *testing.T) {
	s := open(t, fixture(t))
	defer s.Close()
	if pins, err := s.Remember(t.Context(), true, []mxpins.Pin{{Domain: "a.test", Rule: "r", Name: "a.test", Since: time.Unix(1, 0)}}); err != nil || len(pins) != 1 {
		t.Errorf("%v, %v", pins, err)
	}
}

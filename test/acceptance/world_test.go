// Package acceptance holds the gateway to what it promises, from outside: the real binary as a process, driven by its
// own command line, between partners on the loopback that have every fault partners have.
package acceptance

import (
	"flag"
	"testing"

	"postern/test/harness"
)

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "6") // these tests mostly wait; -parallel on the command line wins
	harness.Main(m)
}

// world is the gateway between its partners, with what only these tests ask of it.
type world struct{ *harness.World }

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{harness.NewWorld(t)}
}

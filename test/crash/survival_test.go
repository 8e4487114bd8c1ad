package crash

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// survival is how much of what was not synced a power cut leaves.
type survival string

// The kinds of survival.
const (
	nothing    survival = "nothing"    // what was synced, and no byte more
	everything survival = "everything" // as when only the process dies
	some       survival = "some"       // each change or not, some writes torn
	newestTorn survival = "newestTorn" // everything, but of each file's newest write only some sectors
)

// survive writes what a power cut would leave into an empty folder.
func (d *disk) survive(to string, s survival, rng *rand.Rand) error { return d.top.survive(to, s, rng) }

func (n *node) survive(to string, s survival, rng *rand.Rand) error {
	content, entries := slices.Clone(n.kept), maps.Clone(n.keptIn)
	for i, c := range n.waiting {
		switch newest := i == len(n.waiting)-1; {
		case s == nothing, s == some && rng.IntN(2) == 0:
		case s == some && c.data != nil && rng.IntN(3) == 0, s == newestTorn && c.data != nil && newest:
			tear(&content, c, rng)
		default:
			apply(&content, entries, c)
		}
	}
	if !n.folder {
		return os.WriteFile(to, content, 0o600)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) { // in one order, so that a seed gives one disk
		if err := entries[name].survive(filepath.Join(to, name), s, rng); err != nil {
			return err
		}
	}
	return nil
}

// tear writes only a beginning of a change, or some of its sectors.
func tear(content *[]byte, c change, rng *rand.Rand) {
	const sector = 512
	if rng.IntN(2) == 0 {
		c.data = c.data[:rng.IntN(len(c.data)+1)]
		apply(content, nil, change{data: c.data, off: c.off})
		return
	}
	for begin := int64(0); begin < int64(len(c.data)); {
		end := min((c.off+begin)/sector*sector+sector-c.off, int64(len(c.data)))
		if rng.IntN(2) == 0 {
			apply(content, nil, change{data: c.data[begin:end], off: c.off + begin})
		}
		begin = end
	}
}

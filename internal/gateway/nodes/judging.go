package nodes

import "sync"

// judging counts the messages that are being judged, by what was in force when that began, so that a mark is
// acknowledged when nothing is left that may have been judged by less. Safe for concurrent use.
type judging struct {
	mu      sync.Mutex // guards what follows
	era     int        // grows with each mark
	mark    Mark       // of the era
	open    map[int]int
	settled Mark // nothing is open from before
}

// begin enters the era of now.
func (j *judging) begin() (era int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open == nil {
		j.open = map[int]int{}
	}
	j.open[j.era]++
	return j.era
}

// end leaves an era, and reports whether something can be acknowledged by it.
func (j *judging) end(era int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open[era]--; j.open[era] > 0 {
		return false
	}
	delete(j.open, era)
	return j.settle()
}

// note tells what is in force, which was so before note is called, and returns what can be acknowledged.
func (j *judging) note(m Mark) Mark {
	j.mu.Lock()
	defer j.mu.Unlock()
	if m != j.mark {
		j.mark = m
		j.era++
	}
	j.settle()
	return j.settled
}

// settle takes the mark of the era over as soon as nothing older is open. It reports whether that is news. The caller
// holds mu.
func (j *judging) settle() bool {
	for era := range j.open {
		if era < j.era {
			return false
		}
	}
	news := j.settled != j.mark
	j.settled = j.mark
	return news
}

// idle reports whether nothing is being judged.
func (j *judging) idle() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.open) == 0
}

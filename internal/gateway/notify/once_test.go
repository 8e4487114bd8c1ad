package notify_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
)

// TestTwoGatewaysWriteOnce: both hear of the same within moments, and hours later; one message is written about it, and
// the next a day later. One that starts again does not tell it again.
func TestTwoGatewaysWriteOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := beside(t, "admin@example.test", "", nil, "gw")
		b := beside(t, "admin@example.test", "", a, "gw-2")
		defer b.end()
		for hour := range 30 {
			a.Tell(matter(1))
			b.Tell(matter(1))
			time.Sleep(time.Hour)
			if hour == 5 {
				a.end()
				a = beside(t, "admin@example.test", "", b, "gw-anew")
				defer a.end()
			}
			if _, texts := b.letters(t); len(texts) != 1+hour/24 {
				t.Fatalf("after %d hours %d messages", hour+1, len(texts))
			}
		}
	})
}

// TestWhatOneCannotWriteTheOtherDoes: it is not taken for told.
func TestWhatOneCannotWriteTheOtherDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := beside(t, "admin@example.test", "", nil, "gw")
		defer a.end()
		b := beside(t, "admin@example.test", "", a, "gw-2")
		defer b.end()
		a.set(errors.New("no rules"))
		a.Tell(matter(1))
		time.Sleep(time.Minute)
		b.Tell(matter(1))
		b.Tell(matter(2))
		time.Sleep(time.Hour)
		a.set(nil)
		time.Sleep(time.Hour)
		_, texts := b.letters(t)
		if len(texts) != 1 || !strings.Contains(texts[0], "text of 1") || !strings.Contains(texts[0], "text of 2") {
			t.Errorf("%d messages: %q", len(texts), texts)
		}
	})
}

// TestTheHourIsThatOfAllGateways: however many matters each hears of, ten messages go out in an hour, and none is lost.
func TestTheHourIsThatOfAllGateways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := beside(t, "admin@example.test", "", nil, "gw")
		defer a.end()
		b := beside(t, "admin@example.test", "", a, "gw-2")
		defer b.end()
		for n := range 20 {
			a.Tell(matter(2 * n))
			b.Tell(matter(2*n + 1))
			time.Sleep(time.Minute)
		}
		_, texts := b.letters(t)
		if len(texts) != 10 {
			t.Errorf("%d messages within the hour", len(texts))
		}
		time.Sleep(2 * time.Hour)
		_, texts = b.letters(t)
		all := strings.Join(texts, "")
		for n := range 40 {
			if c := strings.Count(all, fmt.Sprintf("text of %d\r\n", n)); c != 1 {
				t.Errorf("matter %d is told %d times", n, c)
			}
		}
		if w, _ := a.seen(); w != 0 {
			t.Errorf("%d warnings", w)
		}
	})
}

// TestWhatIsWrongWithOneGatewayIsItsOwnMatter: that another said the same of itself is no reason to be silent.
func TestWhatIsWrongWithOneGatewayIsItsOwnMatter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := beside(t, "admin@example.test", "", nil, "gw")
		defer a.end()
		b := beside(t, "admin@example.test", "", a, "gw-2")
		defer b.end()
		for _, w := range []*world{a, b} {
			for _, what := range []string{"starttls lost everywhere", "policy hosts", "backscatter"} {
				w.Emit(event.Warned{What: what, Text: "it is so", Hint: "look"})
			}
			time.Sleep(time.Minute)
		}
		_, texts := a.letters(t)
		if len(texts) != 2 || strings.Count(texts[0], "it is so") != 3 || strings.Count(texts[1], "it is so") != 2 {
			t.Errorf("%d messages: %q", len(texts), texts)
		}
	})
}

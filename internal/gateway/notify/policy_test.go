package notify_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/event"
)

// A policy that cannot be had is the domain's affair, until that has been so for long, or what was kept of it is about
// to end.
func TestAPolicyThatCannotBeHadIsToldOfWhenItMatters(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		name        string
		kept        bool
		ends, since time.Duration // from now, before now
		subject     string
	}{
		{"since today", false, 0, time.Hour, ""},
		{"for three days", false, 0, 3*day + time.Hour, "the MTA-STS policy of x.test cannot be had"},
		{"for a week", false, 0, 7 * day, ""},
		{"one is kept for long", true, 20 * day, 3*day + time.Hour, ""},
		{"one is kept and ends", true, 2 * day, 9 * day, "the MTA-STS policy of x.test ends and cannot be renewed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "admin@example.test", "")
				defer w.end()
				e := event.PolicyUnavailable{Domain: "x.test", Fault: "host-silent", Text: "nothing answers", Kept: c.kept, Since: time.Now().Add(-c.since)}
				if c.kept {
					e.Ends = time.Now().Add(c.ends)
				}
				for range 3 {
					w.Emit(e)
					time.Sleep(time.Minute)
				}
				_, texts := w.letters(t)
				switch {
				case c.subject == "" && len(texts) > 0:
					t.Errorf("a letter: %s", texts[0])
				case c.subject != "" && (len(texts) != 1 || !strings.Contains(texts[0], c.subject) || !strings.Contains(texts[0], "nothing answers")):
					t.Errorf("%d letters: %q", len(texts), texts)
				}
			})
		})
	}
}

func TestItIsNotSaidThatADomainAnnouncesWhatNobodyKnows(t *testing.T) {
	for fault, want := range map[string]string{"host-silent": "announces one, and for three days", "record-unknown": "nobody could find out whether"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "admin@example.test", "")
			defer w.end()
			w.Emit(event.PolicyUnavailable{Domain: "x.test", Fault: fault, Text: "why", Since: time.Now().Add(-73 * time.Hour)})
			time.Sleep(time.Minute)
			if _, texts := w.letters(t); len(texts) != 1 || !strings.Contains(strings.Join(strings.Fields(texts[0]), " "), want) {
				t.Errorf("%s: %q", fault, texts)
			}
		})
	}
}

func TestExceptionsAndPolicyHostsHaveLettersOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "admin@example.test", "")
		defer w.end()
		for _, what := range []string{"policy hosts", "exception ends", "something else"} {
			w.Emit(event.Warned{What: what, Text: "words about " + what, Hint: "do it"})
			time.Sleep(time.Minute)
		}
		_, texts := w.letters(t)
		if len(texts) != 2 || !strings.Contains(texts[0], "no MTA-STS policy can be fetched") || !strings.Contains(texts[1], "an exception ends soon") {
			t.Errorf("%q", texts)
		}
	})
}

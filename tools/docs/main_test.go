package main

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"postern/tools/tree"
)

// TestThePartsAreCurrent fails where a document holds a part that `make docs` would make otherwise. The figures of the
// code may be a tenth away, so that not every change needs a new table.
func TestThePartsAreCurrent(t *testing.T) {
	checkout, err := tree.Read("../..")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := checkout.Documents()
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for path, page := range pages {
		olds, err := parts(page)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for name, old := range olds {
			make, known := makers()[name]
			if !known {
				t.Errorf("%s: nothing makes the part %q", path, name)
				continue
			}
			made[name] = true
			now, err := make(checkout, old)
			if err != nil {
				t.Fatalf("%s: %q: %v", path, name, err)
			}
			if now != old && (name != "figures" || !near(old, now)) {
				t.Errorf("%s: the part %q is not current: run `make docs`\n%s", path, name, difference(old, now))
			}
		}
	}
	for name := range makers() {
		if !made[name] {
			t.Errorf("no document holds the part %q", name)
		}
	}
}

// difference is the first line that differs.
func difference(old, now string) string {
	was, is := strings.Split(old, "\n"), strings.Split(now, "\n")
	for i := range min(len(was), len(is)) {
		if was[i] != is[i] {
			return "is:     " + was[i] + "\nshould: " + is[i]
		}
	}
	return "one is longer"
}

var number = regexp.MustCompile(`\d+`)

// near reports whether two texts differ in numbers only, and in none by more than a tenth and ten.
func near(a, b string) bool {
	if number.ReplaceAllString(a, "") != number.ReplaceAllString(b, "") {
		return false
	}
	as, bs := number.FindAllString(a, -1), number.FindAllString(b, -1)
	for i := range as {
		x, _ := strconv.Atoi(as[i])
		y, _ := strconv.Atoi(bs[i])
		if distance := max(x-y, y-x); distance > 10+max(x, y)/10 {
			return false
		}
	}
	return true
}

func TestNearness(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"| files | 525 |", "| files | 570 |", true}, {"| files | 525 |", "| files | 700 |", false},
		{"| files | 3 |", "| files | 9 |", true}, {"| files | 525 |", "| lines | 525 |", false}, {"1 / 2", "1", false},
	} {
		if near(c.a, c.b) != c.want {
			t.Errorf("near(%q, %q) is not %v", c.a, c.b, c.want)
		}
	}
}

func TestAPageKeepsWhatPeopleWrote(t *testing.T) {
	page := "before\n<!-- made by make docs: reasons -->\nold\n<!-- end of reasons -->\nafter\n"
	once, err := renew(nil, page)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := renew(nil, once)
	if err != nil || once != twice {
		t.Errorf("a second time changes something: %v", err)
	}
	if !strings.HasPrefix(once, "before\n") || !strings.HasSuffix(once, "-->\nafter\n") || strings.Contains(once, "old\n") ||
		!strings.Contains(once, "| `cert-expired` |") {
		t.Error(once)
	}
	for _, wrong := range []string{
		"<!-- made by make docs: nothing of the kind -->\n<!-- end of nothing of the kind -->", "<!-- made by make docs: reasons -->\n",
		"<!-- made by make docs: reasons -->\n<!-- end of metrics -->",
	} {
		if _, err := renew(nil, wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}

func TestTheManualIsRead(t *testing.T) {
	got := verbs(".SH VERBS\n.SS \"postern queue list\"\nList the mail\\-box.\n.TP\n.I [<name> ...]\nA domain.\n.TP\n.B \\-\\-token\\-file=FILE\nIts file.\n" +
		".SH EXIT STATUS\n.TP\n.B 0\nDone.\n")
	if len(got) != 1 || got[0].line != "postern queue list" || got[0].help != "List the mail-box." || len(got[0].arguments) != 1 ||
		len(got[0].flags) != 1 || got[0].flags[0] != "--token-file=FILE" {
		t.Errorf("%+v", got)
	}
}

func TestASentenceIsCutWhereItSaysEnough(t *testing.T) {
	for in, want := range map[string]string{
		"is the loop that empties the queue: it decides.":   "is the loop that empties the queue",
		"is it: a thing with a name.":                       "is it: a thing with a name",
		"keeps what was shown, whole, so that it is there.": "keeps what was shown, whole",
	} {
		if got := brief(in); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}

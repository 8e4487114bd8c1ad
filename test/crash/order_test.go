package crash

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// What the gateway has told somebody is on stable storage: that is the law of this level. A promise is a call that
// tells (the 250, the answer to the command line, the connection by which a notice goes out, the removal of a body),
// and what must be safe when it begins, as texts that stand in the data.
//
// A text is safe when a file holds it of which every byte is synced, under a name that is synced. A copy elsewhere that
// is not synced does no harm. Where other work goes on beside, only the text itself must be synced.
type promise struct {
	what   string
	at     int // the line of the recording where the call begins
	of     []string
	beside bool // other work goes on
}

// broken says how promises are broken by a recording; nothing when all are kept.
func broken(d *disk, calls []call, promises []promise) (out []string) {
	slices.SortFunc(promises, func(a, b promise) int { return a.at - b.at })
	left := moments(calls)
	for _, p := range promises {
		left = d.play(left, p.at)
		for _, text := range p.of {
			if why := d.unsafe(text, p.beside); why != "" {
				out = append(out, fmt.Sprintf("%s at line %d: %q is not safe: %s", p.what, p.at, text, why))
			}
		}
	}
	if d.err != nil {
		out = append(out, d.err.Error())
	}
	return out
}

// unsafe says why a text would not survive a power cut, "" when it would.
func (d *disk) unsafe(text string, beside bool) string {
	var why []string
	safe := false
	d.each(func(rel string, n *node, sure bool) {
		if n.folder || !bytes.Contains(n.now, []byte(text)) {
			return
		}
		switch {
		case len(n.waiting) > 0 && !(beside && bytes.Contains(n.kept, []byte(text))):
			newest := n.waiting[len(n.waiting)-1]
			why = append(why, fmt.Sprintf("%s has %d changes that are not synced, the newest of line %d", rel, len(n.waiting), newest.begin))
		case !sure:
			why = append(why, fmt.Sprintf("the name %s is not synced", rel))
		default:
			safe = true
		}
	})
	if safe {
		return ""
	}
	if len(why) == 0 {
		return "no file holds it"
	}
	slices.Sort(why)
	return strings.Join(why, "; ")
}

// first returns the line of the first call that ok accepts.
func first(t *testing.T, calls []call, what string, ok func(call) bool) int {
	t.Helper()
	for _, c := range calls {
		if ok(c) {
			return c.begin
		}
	}
	t.Fatalf("the recording does not show %s", what)
	return 0
}

// tells accepts a call that says something over a kind of connection.
func tells(kind string, words ...string) func(call) bool {
	return func(c call) bool {
		said, ok := c.said(kind)
		for _, word := range words {
			ok = ok && strings.Contains(said, word)
		}
		return ok
	}
}

// ordered makes a recording in which a message of each kind is accepted, two are delivered, one is bounced and the
// rules are changed, and returns it with the promises that it must keep.
//
// again records a start on a folder that is in use, not the first start.
func ordered(t *testing.T, again bool, more ...string) (before func() *disk, calls []call, promises []promise) {
	t.Helper()
	w := newWorld(t)
	w.Settings["delivery.attempt_timeout"] = `"60s"`
	hangs := w.Good("mx.hangs.test")
	hangs.Fault = partner.HangsTLS
	w.Domain("hangs.test", hangs)
	for _, name := range []string{"small", "large"} {
		w.Domain(name+".test", w.Answers("mx."+name+".test", ".", "250 2.0.0 taken-"+name))
	}
	w.Domain("refused.test", w.Answers("mx.refused.test", "RCPT", "550 5.1.1 refused-for-good"))
	if again {
		w.Start("")
		w.Stop()
	}
	image := filepath.Join(w.Dir, "before")
	if err := os.CopyFS(image, os.DirFS(w.data())); err != nil {
		t.Fatal(err)
	}
	before = func() *disk { return diskFrom(t, w.data(), image) }
	path := record(t, w, more...)
	if again {
		w.Serve()
	} else {
		w.Start("")
	}

	// Mail to a server that hangs waits, so that nothing else is written while it is answered.
	var accepts []promise // without their lines
	ids := map[string]string{}
	for _, kind := range kinds() {
		m := newLetter("order-"+kind.name, kind.size)
		ids[kind.name] = m.send(w, kind.bdat, "anna@home.test", kind.name+"@hangs.test")
		accepts = append(accepts, promise{what: kind.name, of: append(m.texts(), kind.name+"@hangs.test")})
	}
	w.Apply(harness.Force("order-of-rules", `"elsewhere.test"`))
	large := newLetter("order-settled-large", 200_000)
	newLetter("order-settled-small", 500).send(w, false, "anna@home.test", "a@small.test")
	w.Await("a@small.test", harness.In("delivered"))
	large.send(w, false, "anna@home.test", "a@large.test")
	w.Await("a@large.test", harness.In("delivered"))
	bounced := newLetter("order-bounced", 200_000)
	bounced.send(w, false, "anna@home.test", "nobody@refused.test")
	w.Await("anna@home.test", harness.In("delivered"))
	notices := w.Home().Messages()
	if len(notices) != 1 {
		t.Fatalf("%d notices came, want 1", len(notices))
	}
	w.Kill() // what is written while it stops is not looked at

	calls = recorded(t, path)
	for _, p := range accepts {
		p.at = first(t, calls, "the 250", tells("TCP", "250 ", ids[p.what]))
		p.what = "the 250 to the " + p.what + " message"
		promises = append(promises, p)
	}
	notice := []string{"refused-for-good", strings.TrimSpace(ownIDs.FindStringSubmatch(notices[0].Data)[1])}
	home := w.Home().Addr().(*net.TCPAddr).IP.String()
	promises = append(promises,
		// The store moves mail out of the journal when it sees fit, by the log of SQLite that the rules are written to.
		promise{"the answer to rules apply", first(t, calls, "an answer", tells("UNIX-STREAM", "HTTP/1.1 200")), []string{"order-of-rules"}, true},
		promise{"what trace says of a delivery", first(t, calls, "the trace", tells("UNIX-STREAM", "taken-small")), []string{"taken-small"}, false},
		promise{"what trace says of a large delivery", first(t, calls, "the trace", tells("UNIX-STREAM", "taken-large")), []string{"taken-large"}, false},
		promise{"the connection that the notice goes over", first(t, calls, "a connection to "+home, func(c call) bool {
			return c.name == "connect" && strings.Contains(plain(c.args), `"`+home+`"`)
		}), notice, true},
		promise{"the removal of a delivered body", removal(t, before(), calls, large.texts()[1]), []string{"taken-large"}, true},
		promise{"the removal of a bounced body", removal(t, before(), calls, bounced.texts()[1]), notice, true},
	)
	return before, calls, promises
}

// removal is the line where a file is removed that holds a text.
func removal(t *testing.T, d *disk, calls []call, text string) int {
	t.Helper()
	left := moments(calls)
	return first(t, calls, "the removal of a body with "+text, func(c call) bool {
		if !strings.HasPrefix(c.name, "unlink") {
			return false
		}
		rel, ok := d.inside(c.paths()[0])
		if !ok {
			return false
		}
		left = d.play(left, c.begin)
		n := d.find(rel)
		return n != nil && bytes.Contains(n.now, []byte(text))
	})
}

func TestWhatWasPromisedIsOnStableStorageBefore(t *testing.T) {
	for name, again := range map[string]bool{"first start": false, "later start": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before, calls, promises := ordered(t, again)
			for _, b := range broken(before(), calls, promises) {
				t.Error(b)
			}
			calls = slices.DeleteFunc(calls, sqliteSyncsFolder(before().root))
			for _, b := range broken(before(), calls, promises) {
				t.Errorf("without SQLite's own sync of the folder: %s", b)
			}
		})
	}
}

// sqliteSyncsFolder accepts the sync of the data folder that SQLite makes after the first sync of its log, and whose
// errors it passes over. The gateway syncs the folder itself, so nothing may depend on this one.
func sqliteSyncsFolder(root string) func(call) bool {
	return func(c call) bool { return c.name == "fdatasync" && c.on == root }
}

// The control of this level: with the syncs left out every single promise is broken.
func TestLeftOutSyncsAreSeenInTheOrder(t *testing.T) {
	t.Parallel()
	before, calls, promises := ordered(t, false, syncsLeftOut()...)
	complaints := strings.Join(broken(before(), calls, promises), "\n")
	for _, p := range promises {
		if !strings.Contains(complaints, p.what+" at line") {
			t.Errorf("%s at line %d: nothing was synced and nobody complains", p.what, p.at)
		}
	}
}

// Recordings written by hand: one that is in order, and one for each way in which it can be out of order.
func TestEachDisorderIsSeen(t *testing.T) {
	files, err := filepath.Glob("testdata/*.strace")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			heading, lines, _ := strings.Cut(string(text), "\n")
			want := strings.TrimPrefix(heading, "# ")
			calls, err := parse(strings.NewReader(hexadecimal(lines)))
			if err != nil {
				t.Fatal(err)
			}
			at := first(t, calls, "the 250", tells("TCP", "250 "))
			got := strings.Join(broken(newDisk("/data"), calls, []promise{{"the 250", at, []string{"the-mark", "the-end"}, false}}), "; ")
			if want == "in order" {
				want = ""
			}
			if (want == "") != (got == "") || !strings.Contains(got, want) {
				t.Errorf("the complaint is %q, want %q", got, want)
			}
		})
	}
}

// hexadecimal writes the strings of a recording as strace -xx does.
func hexadecimal(text string) string {
	return regexp.MustCompile(`"[^"]*"`).ReplaceAllStringFunc(text, func(s string) string {
		var out strings.Builder
		for _, b := range []byte(s[1 : len(s)-1]) {
			fmt.Fprintf(&out, `\x%02x`, b)
		}
		return `"` + out.String() + `"`
	})
}

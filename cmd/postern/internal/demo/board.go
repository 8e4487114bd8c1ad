package demo

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"postern/cmd/postern/internal/cli"
	"postern/internal/operator/trace"
)

// board shows the story: a table that fills on a terminal, plain lines elsewhere.
type board struct {
	out     io.Writer
	live    bool
	start   time.Time
	rows    []*boardRow
	notices []trace.Delivery
	drawn   int    // lines on the screen that the next drawing replaces
	said    string // what happened in the world last, with its time
}

// boardRow is one recipient.
type boardRow struct {
	message int
	to      string
	title   string
	want    ending
	trace   *trace.Delivery
	told    string // what was printed last, in plain mode
}

func newBoard(out io.Writer) *board {
	b := &board{out: out, live: cli.OnTerminal(out), start: time.Now()}
	for i, m := range story {
		for j, to := range m.to {
			b.rows = append(b.rows, &boardRow{message: i, to: to, title: m.title, want: m.want[j]})
		}
	}
	return b
}

func (b *board) open(at string) {
	fmt.Fprintf(b.out, "Postern listens at %s. %d domains around it, %d messages, and 24 hours last %s here.\n\n",
		at, len(domains), len(story), window)
}

// say tells something that happened in the world.
func (b *board) say(text string) {
	b.said = fmt.Sprintf("%.1fs: %s", time.Since(b.start).Seconds(), text)
	if !b.live {
		fmt.Fprintf(b.out, "%5.1fs  * %s\n", time.Since(b.start).Seconds(), text)
	}
}

// show takes in the traces of this moment.
func (b *board) show(traces []trace.Delivery) {
	b.notices = b.notices[:0]
	for i := range traces {
		t := &traces[i]
		if t.Kind != "mail" {
			b.notices = append(b.notices, *t)
			continue
		}
		for _, r := range b.rows {
			if r.to == t.To && messageID(r.message) == t.MessageID {
				r.trace = t
			}
		}
	}
	if b.live {
		b.draw()
		return
	}
	for _, r := range b.rows {
		if now := r.happened(); r.trace != nil && now != r.told {
			r.told = now
			fmt.Fprintf(b.out, "%5.1fs  %-19s %-48s %s\n", time.Since(b.start).Seconds(), r.to, r.title, now)
		}
	}
}

// done reports whether every recipient and every notice has come to its end.
func (b *board) done() bool {
	for _, r := range b.rows {
		if r.trace == nil || r.trace.State == "sending" || r.trace.State == "queued" && !r.want.fits(r.trace) {
			return false
		}
	}
	return b.noticesEnded()
}

func (b *board) noticesEnded() bool {
	have := map[string]map[string]int{}
	for _, n := range b.notices {
		if have[n.To] == nil {
			have[n.To] = map[string]int{}
		}
		have[n.To][n.State]++
	}
	for to, states := range noticesWanted {
		for state, count := range states {
			if have[to][state] != count {
				return false
			}
		}
	}
	return true
}

// happened says in a few words what became of the recipient so far.
func (r *boardRow) happened() string {
	if r.trace == nil {
		return ""
	}
	t := r.trace
	switch t.State {
	case "delivered":
		words := "delivered, " + t.Reached
		switch {
		case strings.HasPrefix(t.ProvedBy, "dane"):
			words += " (" + t.TLSVersion + ", " + t.ProvedBy + ")"
		case t.TLSVersion != "":
			words += " (" + t.TLSVersion + ")"
		}
		switch {
		case wouldHaveWaited(t):
			words += ": " + observed
		case t.Reason != "":
			words += ": " + t.Reason
		}
		return words
	case "failed":
		return "bounced: " + t.Reason
	case "queued", "sending":
		if t.Reason != "" {
			return "waits: " + t.Reason
		}
		return "on its way"
	}
	return t.State + ": " + t.Reason
}

// mark is the first column: a sign, never colour alone.
func (r *boardRow) mark() string {
	switch {
	case r.trace == nil:
		return " "
	case r.trace.State == "delivered":
		return "✓"
	case r.trace.State == "failed":
		return "✗"
	}
	return "…"
}

// draw replaces the table on the terminal.
func (b *board) draw() {
	var s strings.Builder
	if b.drawn > 0 {
		fmt.Fprintf(&s, "\x1b[%dA\x1b[J", b.drawn)
	}
	lines := b.table(b.width())
	for _, l := range lines {
		s.WriteString(tint(l) + "\n")
	}
	b.drawn = len(lines)
	_, _ = io.WriteString(b.out, s.String()) // a terminal that went away is noticed by its signal
}

// tint colours the sign that begins a row. The sign itself says the same.
func tint(line string) string {
	for sign, colour := range map[string]string{"✓": "32", "✗": "31", "!": "31", "…": "33"} {
		if rest, ok := strings.CutPrefix(line, sign+" "); ok {
			return "\x1b[" + colour + "m" + sign + "\x1b[0m " + rest
		}
	}
	return line
}

func (b *board) width() int {
	if f, ok := cli.Beneath(b.out).(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w >= 60 {
			return w
		}
	}
	return 120
}

// table is the state of the story in lines of at most width characters.
func (b *board) table(width int) []string {
	out := []string{cut(fmt.Sprintf("  %-18s %-9s %-49s %s", "recipient", "rule asks", "what happened",
		"what it shows"), width)}
	for _, r := range b.rows {
		asks := ""
		if r.trace != nil && r.trace.Requires == "authenticated" {
			asks = "force"
		}
		out = append(out, cut(fmt.Sprintf("%s %-18s %-9s %-49s %s", r.mark(), r.to, asks, r.happened(), r.title),
			width))
	}
	slices.SortStableFunc(b.notices, func(x, y trace.Delivery) int { return strings.Compare(x.To, y.To) })
	for _, n := range b.notices {
		out = append(out, cut(fmt.Sprintf("%s bounce to %-18s %s", noticeMark(n.State), n.To, noticeWords(&n)), width))
	}
	out = append(out, cut(strings.TrimSuffix(fmt.Sprintf("%5.1fs  %s", time.Since(b.start).Seconds(), b.said), " "),
		width))
	return out
}

func noticeMark(state string) string {
	switch state {
	case "delivered":
		return "✓"
	case "held":
		return "!"
	}
	return "…"
}

func noticeWords(t *trace.Delivery) string {
	switch t.State {
	case "delivered":
		return "delivered, " + t.Reached
	case "held":
		return "held, not sent in the clear: " + t.Reason
	}
	return t.State
}

func cut(s string, width int) string {
	r := []rune(strings.TrimRight(s, " "))
	if len(r) > width {
		r = append(r[:width-1], '…')
	}
	return string(r)
}

// close prints the end of the story and returns how many recipients did not end as they should.
func (b *board) close(leaks []string) (failed int) {
	if !b.live {
		fmt.Fprintln(b.out)
		for _, line := range b.table(140) {
			fmt.Fprintln(b.out, line)
		}
	}
	for _, r := range b.rows {
		if r.trace == nil || !r.want.fits(r.trace) {
			failed++
			fmt.Fprintf(b.out, "NOT AS TOLD: %s is %q, want %s %s %s\n", r.to, r.happened(), r.want.state,
				r.want.reached, r.want.reason)
		}
	}
	if !b.noticesEnded() {
		failed++
		fmt.Fprintln(b.out, "NOT AS TOLD: the notices are not three delivered to anna and one held for ben")
	}
	for _, l := range leaks {
		failed++
		fmt.Fprintln(b.out, "LEAK:", l)
	}
	if failed == 0 {
		fmt.Fprintf(b.out, "\nEvery recipient ended as the rules say, and no forced message crossed an unproven "+
			"connection (%.1f s).\n",
			time.Since(b.start).Seconds())
	}
	return failed
}

// forcedRecipients are those whose mail must never be heard without TLS.
func forcedRecipients(b *board) (out []string) {
	for _, r := range b.rows {
		if r.trace != nil && r.trace.Requires == "authenticated" {
			out = append(out, r.to)
		}
	}
	return out
}

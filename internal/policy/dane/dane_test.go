package dane_test

import (
	"strings"
	"testing"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/dane"
)

func (s situation) input() dane.Input {
	in := dane.Input{Chain: s.chain, Records: s.records, Names: s.names, Now: s.now}
	if s.names == nil {
		in.Names = []mail.Domain{host}
	}
	if s.now.IsZero() {
		in.Now = now
	}
	return in
}

// told is the answer in the form of situation.want.
func told(d policy.DANE) string {
	if d.Proven() {
		return d.By + " " + d.Record[:len("3 1 1")]
	}
	var out []string
	for _, s := range d.Shortfalls {
		out = append(out, string(s.Reason))
	}
	return strings.Join(out, " ")
}

func checkFit(t *testing.T, d policy.DANE) {
	t.Helper()
	if (d.By != "") != (len(d.Shortfalls) == 0) || d.By != "" && d.Record == "" {
		t.Errorf("neither proven nor short: %+v", d)
	}
	for _, s := range d.Shortfalls {
		if s.Reason == "" || s.Text == "" || len(s.Text) > 3000 || strings.ContainsAny(s.Text, "\x00\r\n\x1b\u202e") {
			t.Errorf("unfit for a line: %q", s)
		}
	}
}

func TestExamine(t *testing.T) {
	all := situations(t)
	if len(all) < 60 {
		t.Errorf("%d situations", len(all))
	}
	seen := map[string]bool{}
	for _, s := range all {
		if s.from == "" || seen[s.name] {
			t.Errorf("%s: no source, or twice", s.name)
		}
		seen[s.name] = true
		t.Run(s.name, func(t *testing.T) {
			d := dane.Examine(s.input())
			checkFit(t, d)
			for _, short := range d.Shortfalls {
				t.Logf("%s: %s", short.Reason, short.Text)
			}
			if got := told(d); got != s.want {
				t.Errorf("got %q, want %q (%s)", got, s.want, s.from)
			}
		})
	}
}

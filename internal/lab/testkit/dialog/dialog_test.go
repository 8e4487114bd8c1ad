package dialog_test

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/lab/testkit/dialog"
	"postern/internal/lab/testkit/memnet"
)

// echo greets, then answers every line with "250 " and the line, and leaves after QUIT.
func echo(nc net.Conn) {
	defer nc.Close()
	nc.Write([]byte("220 ready\r\n"))
	in := bufio.NewScanner(nc)
	for in.Scan() {
		nc.Write([]byte("250 " + in.Text() + "\r\n"))
		if in.Text() == "QUIT" {
			return
		}
	}
}

func play(t *testing.T, text string) error {
	t.Helper()
	s, err := dialog.Parse([]byte("What must hold.\n-- dialog --\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	server, client := memnet.Pipe()
	go echo(server)
	return (&dialog.Player{Side: dialog.Client}).Play(s, client)
}

func TestAPlayerFollowsTheScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := play(t, "S: 220 *\nC: one\nC: two\nS: 250 one\nS: 250 *o\n(wait 5m)\n(quiet 1m)\n(repeat 3)\nC: x\n"+
			"(repeat 3)\nS: 250 x\n(raw \"QU\")\n(fill 1 \"IT\\n\")\nS: 250 QUIT\n(eof)\n")
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 6*time.Minute {
			t.Fatalf("took %v", d)
		}
	})
}

func TestAPlayerReportsWhatIsWrong(t *testing.T) {
	for _, tc := range []struct{ script, want string }{
		{"S: 221 *\n", `line 1: S: 221 *: got "220 ready"`},
		{"S: 220 *\nS: 250 *\n", "timeout"},
		{"S: 220 *\n(eof)\n", "still open"},
		{"(quiet 1s)\n", `got "220 ready`},
		{"S: 220 *\nC: QUIT\n(eof)\n", "before the end"},
	} {
		synctest.Test(t, func(t *testing.T) {
			if err := play(t, tc.script); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%q: got %v, want %q", tc.script, err, tc.want)
			}
		})
	}
}

func TestABadScriptIsRefused(t *testing.T) {
	for _, text := range []string{"-- dialog --\nS: 1\n", "x\n", "x\n-- dialog --\nhello\n", "x\n-- dialog --\n(dance)\n",
		"x\n-- dialog --\n(raw x)\n", "x\n-- dialog --\n(wait x)\n"} {
		if _, err := dialog.Parse([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

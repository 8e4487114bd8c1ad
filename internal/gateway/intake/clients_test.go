package intake_test

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/intake"
)

const forceClinic = `
[[rule]]
name = "clinic"
action = "force-tls"
[rule.match]
recipient = ["*@clinic.test"]
`

// hand brings a message from an own client.
func (w *world) hand(from string, withTLS bool, to string) {
	w.t.Helper()
	s := w.come(from)
	defer s.Close()
	if withTLS {
		w.secure(s, "", "")
	}
	for _, line := range []string{"MAIL FROM:<a@example.test>", "RCPT TO:<" + to + ">", "DATA"} {
		if got := say(s, line); got[0] != '2' && got[0] != '3' {
			w.t.Fatalf("%s: %s", line, got)
		}
	}
	io.WriteString(s, "Subject: x\r\n\r\nx\r\n.\r\n")
	if got := s.reply(); !strings.HasPrefix(got, "250 ") {
		w.t.Fatalf(".: %s", got)
	}
}

// told returns what was told of clients since the last call.
func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, e := range w.events {
		if strings.HasPrefix(e, "client ") {
			out = append(out, e)
		}
	}
	w.events = nil
	return strings.Join(out, "; ")
}

func TestAClientThatLosesItsTLSIsToldOfOnce(t *testing.T) {
	const lost, forced = "client tls-lost 10.0.0.5 rules=", "client forced-onward 10.0.0.5 rules=clinic"
	day := 24 * time.Hour
	for _, tc := range []struct {
		name  string
		steps []any // a pause, or "tls", "plain", "plain forced" and what is told
	}{
		{"always had it", []any{"tls", "", day, "tls forced", "", "plain", lost, "plain", "", 2 * day, "plain", ""}},
		{"never had it", []any{"plain", "", day, "plain", ""}},
		{"sometimes has it", []any{"plain", "", "tls", "", "plain", "", day, "tls", "", "plain", ""}},
		{"lost it, had it for a month, lost it again", []any{"tls", "", "plain", lost, 20 * day, "tls", "", 11 * day, "tls", "", "plain", lost}},
		{"had it long ago", []any{"tls", "", 31 * day, "plain", ""}},
		{"forced mail, once a day", []any{"plain forced", forced, "plain forced", "", day - time.Minute, "plain forced", "", time.Hour, "plain forced", forced}},
		{"both at once", []any{"tls", "", "plain forced", "client tls-lost 10.0.0.5 rules=clinic; " + forced, "plain forced", ""}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "", forceClinic)
			for i, kind := 0, ""; i < len(tc.steps); i++ {
				if pause, ok := tc.steps[i].(time.Duration); ok {
					time.Sleep(pause)
					continue
				}
				kind = tc.steps[i].(string)
				to := "b@world.test"
				if strings.HasSuffix(kind, "forced") {
					to = "b@clinic.test"
				}
				time.Sleep(time.Second)
				w.hand("10.0.0.5", strings.HasPrefix(kind, "tls"), to)
				synctest.Wait()
				i++
				if got := w.told(); got != tc.steps[i] {
					t.Errorf("%s, step %d (%s): told %q, want %q", tc.name, i/2, kind, got, tc.steps[i])
				}
			}
			time.Sleep(time.Second)
			w.hand("198.51.100.7", true, "e@example.test")
			time.Sleep(time.Second)
			w.hand("198.51.100.7", false, "e@example.test")
			if got := w.told(); got != "" {
				t.Errorf("%s: of a stranger it is told %q", tc.name, got)
			}
			w.close()
		})
	}
}

func TestTheMemoryOfClientsIsBounded(t *testing.T) {
	c := intake.NewClients()
	now := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	for i := range 25_000 {
		ip := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		intake.Heard(c, now.Add(time.Duration(i)*time.Second), ip, "clinic")
	}
	list := c.Forced(now)
	if len(list) > 10_000 || len(list) < 9_000 {
		t.Errorf("%d clients are remembered", len(list))
	}
	if got := fmt.Sprint(list[0].Client); got != "10.0.97.167" {
		t.Errorf("the newest is %s", got)
	}
}

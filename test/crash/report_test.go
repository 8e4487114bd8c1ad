package crash

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"postern/test/harness"
)

// A report about TLS that comes in, under level c: what was answered 250 is there afterwards, and one that comes again
// is a copy.

// brings hands a report in and reports whether it was answered 250.
func (w *world) brings(id string) bool {
	w.T.Helper()
	const form = `{"organization-name":"x","date-range":{"start-datetime":"2026-11-28T00:00:00Z","end-datetime":"2026-11-28T23:59:59Z"},"report-id":%q,` +
		`"policies":[{"policy":{"policy-type":"sts","policy-domain":"home.test"},"summary":{"total-successful-session-count":1,"total-failure-session-count":0}}]}`
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 99)}}
	conn, err := from.Dial("tcp", w.Addr) // the call it is killed at may be one of its own, or the greeting
	if err != nil {
		return false
	}
	defer conn.Close()
	c := &harness.Client{T: w.T, Conn: conn, R: bufio.NewReader(conn)}
	if !strings.HasPrefix(c.Read(), "220") {
		return false
	}
	for _, line := range []string{"EHLO a.test", "MAIL FROM:<>", "RCPT TO:<tls@home.test>", "DATA"} {
		if _, err := fmt.Fprintf(c.Conn, "%s\r\n", line); err != nil || !strings.ContainsAny(c.Read()+" ", "23") {
			return false
		}
	}
	_, _ = fmt.Fprintf(c.Conn, "From: a@a.test\r\nContent-Type: application/tlsrpt+json\r\n\r\n"+form+"\r\n.\r\n", id) // the answer tells
	return strings.HasPrefix(c.Read(), "250")
}

// kept counts the reports of an identifier.
func (w *world) kept(id string) int {
	w.T.Helper()
	return strings.Count(w.Postern("reports", "received", "--json"), fmt.Sprintf("%q", id))
}

func TestAReportKilledAtEveryCallIsThereOnceItWasAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["tlsrpt.receive"] = `["tls@home.test"]`
	b := breaking(t, w)
	b.startBroken(t)
	b.order(orderKill, 0)
	if !w.brings("first") {
		t.Fatal("the report is not taken")
	}
	b.quiet()
	points, _, _ := b.counted()
	b.end()
	for _, n := range everyOne(points, either(4, points)) {
		b.serve()
		b.order(orderKill, n)
		id := fmt.Sprintf("report-%d", n)
		told := w.brings(id)
		b.quiet()
		call := b.did()
		b.end()
		b.serve()
		if there := w.kept(id); there > 1 || told && there == 0 {
			t.Errorf("killed before %q: answered with 250: %v, and %d are kept", call, told, there)
		}
		if !w.brings(id) || w.kept(id) != 1 {
			t.Errorf("killed before %q: brought again, %d are kept", call, w.kept(id))
		}
		b.end()
	}
	b.serve()
	if w.kept("first") != 1 {
		t.Error("the first report is gone")
	}
	if n := len(harness.Bodies(w.Home(), "tlsrpt")); n > 0 {
		t.Errorf("%d reports were sent on", n)
	}
}

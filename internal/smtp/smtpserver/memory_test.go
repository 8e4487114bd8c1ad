package smtpserver_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"postern/internal/smtp/smtpserver"
)

// Many clients that send content slowly hold no more than the memory that is there for all of them together, and
// content is received all the same without it.
func TestSlowContentSharesOneMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, room = 40, 200 << 10
		memory := smtpserver.NewMemory(room)
		w := newWorld(t, func(cfg *smtpserver.Config) { cfg.Memory = memory })
		line := strings.Repeat("x", 70) + "\r\n"
		var open []io.WriteCloser
		for range clients {
			nc := w.dial("198.51.100.1")
			io.WriteString(nc, "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@gw.test>\r\nDATA\r\n")
			io.WriteString(nc, strings.Repeat(line, 100))
			open = append(open, nc)
		}
		synctest.Wait()
		if got := memory.Taken(); got > room || got < room/2 {
			t.Errorf("%d octets are taken of %d", got, room)
		}
		for _, nc := range open {
			io.WriteString(nc, strings.Repeat(line, 900)+".\r\nQUIT\r\n")
		}
		synctest.Wait()
		if got := memory.Taken(); got != 0 {
			t.Errorf("%d octets are taken after the last message", got)
		}
		for _, nc := range open {
			nc.Close()
		}
		w.close()
		if got := strings.Count(w.rec.lines(), fmt.Sprintf("%d octets", 1000*len(line))); got != clients {
			t.Errorf("%d of %d messages arrived whole", got, clients)
		}
	})
}

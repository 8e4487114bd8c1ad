package smtpserver_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"postern/internal/smtp/smtpserver"
)

// falseEnds are what servers in the field have taken for the end of content, besides CRLF.CRLF.
var falseEnds = []string{
	"\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\n.\r", "\r.\n", "\n\n.\n\n", "\r\n.\r\r\n", "\r\r\n.\r\r\n",
	"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\x00\r\n.\n", "\r\x00\n.\r\x00\n", "\n.\r\n.\n", "\r\n..\n", "\r\n..\rx",
}

// smuggle sends a message whose content has a false end followed by another transaction, in pieces, and returns what
// the Session was told.
func smuggle(t *testing.T, bare smtpserver.BareEnds, end string, piece func(whole string) []string) (told, replies string) {
	w := newWorld(t, func(cfg *smtpserver.Config) { cfg.Limits.Bare = bare })
	nc := w.dial("198.51.100.7")
	whole := "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@gw.test>\r\nDATA\r\nouter" + end +
		"MAIL FROM:<smuggled@c.test>\r\nRCPT TO:<b@gw.test>\r\nDATA\r\ninner\r\n.\r\nQUIT\r\n"
	for _, p := range piece(whole) {
		if _, err := nc.Write([]byte(p)); err != nil {
			break
		}
		synctest.Wait()
	}
	answer := readAll(nc)
	nc.Close()
	w.close()
	return w.rec.lines(), answer
}

func atOnce(whole string) []string { return []string{whole} }

func TestOnlyTheTrueEndEndsContent(t *testing.T) {
	for _, bare := range []smtpserver.BareEnds{smtpserver.RefuseBare, smtpserver.ConvertBare} {
		for _, end := range falseEnds {
			synctest.Test(t, func(t *testing.T) {
				told, replies := smuggle(t, bare, end, atOnce)
				if strings.Contains(told, "from=<smuggled@") || strings.Count(told, "from=") > 1 {
					t.Errorf("end %q: the session was told\n%s", end, told)
				}
				if !strings.Contains(replies, "554 5.6.0") {
					t.Errorf("end %q was not refused: %q", end, replies)
				}
			})
		}
	}
}

func TestPiecesOfASegmentChangeNothing(t *testing.T) {
	for _, end := range []string{"\n.\n", "\r\n.\r", "\r\n.\r\r\n", "\r.\r\n", "\r\n..\r\n"} {
		var told, replies string
		synctest.Test(t, func(t *testing.T) { told, replies = smuggle(t, smtpserver.ConvertBare, end, atOnce) })
		for i := range 190 {
			synctest.Test(t, func(t *testing.T) {
				cut := func(whole string) []string {
					at := min(i, len(whole))
					return []string{whole[:at], whole[at:]}
				}
				if t2, r2 := smuggle(t, smtpserver.ConvertBare, end, cut); t2 != told || r2 != replies {
					t.Errorf("end %q cut at %d:\n%s\n%q\nwhole:\n%s\n%q", end, i, t2, r2, told, replies)
				}
			})
		}
	}
}

func TestTheTrueEndIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told, _ := smuggle(t, smtpserver.RefuseBare, "\r\n.\r\n", atOnce)
		if strings.Count(told, "from=") != 2 {
			t.Errorf("two messages in one segment, the session was told\n%s", told)
		}
	})
}

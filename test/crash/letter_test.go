package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// world is the gateway between its partners.
type world struct{ *harness.World }

// newWorld makes one whose data folder is there and empty.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{harness.NewWorld(t)}
	if err := os.Mkdir(w.data(), 0o700); err != nil {
		t.Fatal(err)
	}
	return w
}

// data is the path of the data folder.
func (w *world) data() string { return filepath.Join(w.Dir, "data") }

// cast makes a world with the partners of most tests: one that takes mail, one that refuses it, one that may put it
// off.
func cast(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.Domain("taken.test", w.Good("mx.taken.test"))
	w.Domain("refused.test", w.Refuses("mx.refused.test"))
	w.Domain("later.test", w.Good("mx.later.test"))
	return w
}

// kind is a way in which a message can come: its size decides where it is stored.
type kind struct {
	name string
	size int
	bdat bool
}

// kinds is one of each.
func kinds() []kind {
	return []kind{{"small", 500, false}, {"large", 200_000, false}, {"bdat", 500, true}, {"large-bdat", 200_000, true}}
}

// letter is a message that is recognised wherever it turns up, and checked whole where it arrives.
type letter struct {
	mark    string
	content string
}

// newLetter makes one with a mark of its own, of about a size.
func newLetter(mark string, size int) letter {
	var b strings.Builder
	fmt.Fprintf(&b, "From: <anna@home.test>\r\nSubject: %s.\r\nMessage-ID: <%s@home.test>\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\n\r\n", mark, mark)
	for part, name := range []string{"begin", "middle", "end"} {
		for range 3 { // one of them stands on one page of any store
			fmt.Fprintf(&b, "%s-%s.\r\n", mark, name)
		}
		for n := 0; part < 2 && n < size/2; n += 80 {
			fmt.Fprintf(&b, "%s\r\n", strings.Repeat("x", 78))
		}
	}
	return letter{mark, b.String()}
}

// texts are what of a letter must be found: from its beginning, its middle and its end.
func (l letter) texts() []string {
	return []string{l.mark + "-begin.", l.mark + "-middle.", l.mark + "-end."}
}

// sender is whom a report about the letter goes to, when nobody else is named as its sender.
func (l letter) sender() string { return l.mark + "@home.test" }

// send hands a letter to the gateway, which must take it, and returns its id there.
func (l letter) send(w *world, bdat bool, from string, to ...string) string {
	w.T.Helper()
	c, last := l.offer(w, bdat, from, to...)
	defer c.Conn.Close()
	c.Raw(last)
	return queuedAs(c.Wants("250 2.0.0 Ok: queued as "))
}

// offer sends all of a letter but the last piece, which it returns.
func (l letter) offer(w *world, bdat bool, from string, to ...string) (c *harness.Client, last string) {
	w.T.Helper()
	c = w.Connect("")
	c.Say("EHLO mail.home.test", "250")
	c.Say("MAIL FROM:<"+from+">", "250")
	for _, r := range to {
		c.Say("RCPT TO:<"+r+">", "250")
	}
	if !bdat {
		c.Say("DATA", "354")
		c.Raw(l.content)
		return c, ".\r\n"
	}
	third := len(l.content) / 3
	for _, chunk := range []string{l.content[:third], l.content[third : 2*third]} {
		c.Raw(fmt.Sprintf("BDAT %d\r\n%s", len(chunk), chunk))
		c.Wants("250")
	}
	return c, fmt.Sprintf("BDAT %d LAST\r\n%s", len(l.content)-2*third, l.content[2*third:])
}

// queuedAs is the id in the reply to a message.
func queuedAs(reply string) string {
	words := strings.Fields(reply)
	return words[len(words)-1]
}

// in reports whether a message that arrived is a letter, and whether it is whole.
func (l letter) in(m partner.Message) (is, whole bool) {
	if !strings.Contains(m.Data, "\r\nSubject: "+l.mark+".\r\n") {
		return false, false
	}
	_, body, _ := strings.Cut(l.content, "\r\n\r\n")
	return true, strings.HasSuffix(m.Data, "\r\n\r\n"+body)
}

var ownIDs = regexp.MustCompile(`(?mi)^Message-ID:\s+(<[^>]*gw\.home\.test>)\r$`)

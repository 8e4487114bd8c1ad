package trial

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestReadTakesWhatAMailProgramSaves: messages as they are saved, forwarded and pasted.
func TestReadTakesWhatAMailProgramSaves(t *testing.T) {
	for _, c := range []struct {
		what, content, from, to string
		size                    int64
		notes                   []string
	}{
		{"sent", "From: Anna <anna@example.com>\r\nTo: \"Doe, J.\" <dr@clinic.test>,\r\n x@other.test\r\nSubject: s\r\n\r\nbody\r\n",
			"anna@example.com", "dr@clinic.test x@other.test", 99, []string{"field From", "its To."}},
		{"received", "Return-Path: <bounce+7@list.test>\nReceived: from a\nFrom: anna@example.com\nTo: a@b.test\nCc: c@d.test\n\n.",
			"bounce+7@list.test", "a@b.test c@d.test", 0, []string{"Return-Path", "To, Cc"}},
		{"a bounce", "Return-Path: <>\nFrom: MAILER-DAEMON@example.com\nTo: anna@example.com\n\nx\n", "<>", "anna@example.com", 0, nil},
		{"by a secretary", "From: boss@example.com\nSender: sec@example.com\nTo: a@b.test\n\nx\n", "sec@example.com", "a@b.test", 0, nil},
		{"header lines alone", "Subject: secret\nFrom: a@example.com", "a@example.com", "", -1, []string{"names no recipient"}},
		{"with a blank before the colon", "From : a@example.com\nTo: b@c.test\n\nx", "a@example.com", "b@c.test", 36, nil},
		{"in an mbox file", "From anna@example.com Mon Nov  2 10:00:00 2026\nFrom: a@example.com\nTo: b@c.test\n\nx", "a@example.com", "b@c.test", 0, nil},
		{"with a byte order mark", "\xef\xbb\xbfFrom: a@example.com\nTo: b@c.test\n\nx", "a@example.com", "b@c.test", 0, nil},
		{"twice the same", "To: b@c.test, B@c.test\nCc: b@c.test\n\n", "", "b@c.test B@c.test", 0, []string{"who sent it"}},
		{"unread", "From: a@b.test\nTo: undisclosed-recipients:;\nCc: nonsense\n\n", "a@b.test", "", 0, []string{"1 of its recipients could not be read"}},
		{"nothing", "", "", "", -1, []string{"who sent it", "no recipient"}},
	} {
		m := Read([]byte(c.content))
		if m.From != c.from || strings.Join(m.To, " ") != c.to {
			t.Errorf("%s: from %q to %q", c.what, m.From, m.To)
		}
		if c.size > 0 && m.Size != c.size || c.size < 0 && m.Size != 0 {
			t.Errorf("%s: %d bytes", c.what, m.Size)
		}
		for _, n := range c.notes {
			if !slices.ContainsFunc(m.Notes(true, true), func(note string) bool { return strings.Contains(note, n) }) {
				t.Errorf("%s: %q does not say %q", c.what, m.Notes(true, true), n)
			}
		}
	}
	var many strings.Builder
	for i := range 300 {
		fmt.Fprintf(&many, "To: a%d@b.test\n", i)
	}
	if m := Read([]byte(many.String())); len(m.To) != MostRecipients || !strings.Contains(m.Notes(true, true)[len(m.Notes(true, true))-1], "100 more") {
		t.Errorf("%d recipients, %q", len(m.To), m.Notes(true, true))
	}
}

// TestNotesAreAboutWhatWasAsked: who says the sender or the recipients himself hears nothing about where they are from.
func TestNotesAreAboutWhatWasAsked(t *testing.T) {
	m := Read([]byte("From: a@b.test\nTo: c@d.test\nX: " + strings.Repeat("x", 300<<10)))
	for _, c := range []struct {
		from, to bool
		want     string
	}{{true, true, "sender recipients header"}, {true, false, "sender header"}, {false, true, "recipients header"}, {false, false, "header"}} {
		var said []string
		for _, n := range m.Notes(c.from, c.to) {
			said = append(said, strings.Fields(n)[1])
		}
		if got := strings.Join(said, " "); got != c.want {
			t.Errorf("%v %v: %q", c.from, c.to, got)
		}
	}
}

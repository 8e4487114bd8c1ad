package smtp_test

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"postern/internal/smtp"
)

func TestReplyWireForm(t *testing.T) {
	for _, c := range []struct {
		reply smtp.Reply
		want  string
	}{
		{smtp.Reply{Code: 250}, "250\r\n"},
		{smtp.Reply{Code: 250, Lines: []string{"ok"}}, "250 ok\r\n"},
		{smtp.Reply{Code: 250, Status: "2.1.5", Lines: []string{"ok"}}, "250 2.1.5 ok\r\n"},
		{smtp.Reply{Code: 250, Status: "2.1.5"}, "250 2.1.5\r\n"},
		{smtp.Reply{Code: 550, Status: "5.7.1", Lines: []string{"no", "", "never"}},
			"550-5.7.1 no\r\n550-5.7.1\r\n550 5.7.1 never\r\n"},
		{smtp.Reply{Code: 250, Lines: []string{"mx", "SIZE"}}, "250-mx\r\n250 SIZE\r\n"},
		{smtp.Reply{Code: 550, Lines: []string{"a\r\n250 ok\n\x1b"}}, `550 a\x0d\x0a250 ok\x0a\x1b` + "\r\n"},
	} {
		if got := string(c.reply.AppendTo(nil)); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.reply, got, c.want)
		}
	}
}

func TestOverlongReplyTextIsCutToTheLimitOfALine(t *testing.T) {
	got := smtp.Reply{Code: 550, Status: "5.123.123", Lines: []string{strings.Repeat("ü", 2000)}}.AppendTo(nil)
	if len(got) > 512 || !strings.HasSuffix(string(got), "...\r\n") {
		t.Errorf("%d octets: %q", len(got), got)
	}
}

func TestParseReply(t *testing.T) {
	for _, c := range []struct {
		lines string
		want  smtp.Reply
	}{
		{"250", smtp.Reply{Code: 250, Lines: []string{""}}},
		{"250 ", smtp.Reply{Code: 250, Lines: []string{""}}},
		{"250 ok", smtp.Reply{Code: 250, Lines: []string{"ok"}}},
		{"250 2.0.0 ok", smtp.Reply{Code: 250, Status: "2.0.0", Lines: []string{"ok"}}},
		{"250 2.0.0", smtp.Reply{Code: 250, Status: "2.0.0", Lines: []string{""}}},
		{"550 4.7.1 another class", smtp.Reply{Code: 550, Lines: []string{"4.7.1 another class"}}},
		{"550 5.7.1x text", smtp.Reply{Code: 550, Lines: []string{"5.7.1x text"}}},
		{"550 5.1234.1 text", smtp.Reply{Code: 550, Lines: []string{"5.1234.1 text"}}},
		{"550-5.7.1 a|550 5.7.1 b", smtp.Reply{Code: 550, Status: "5.7.1", Lines: []string{"a", "b"}}},
		{"550-5.7.1 a|550 5.1.1 b", smtp.Reply{Code: 550, Status: "5.7.1", Lines: []string{"a", "5.1.1 b"}}},
		{"250-mx|250-SIZE 1|250 STARTTLS", smtp.Reply{Code: 250, Lines: []string{"mx", "SIZE 1", "STARTTLS"}}},
	} {
		got, err := smtp.ParseReply(strings.Split(c.lines, "|")...)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %+v, %v", c.lines, got, err)
		}
	}
}

func TestMalformedRepliesAreRefused(t *testing.T) {
	for _, lines := range []string{"", "2", "25", "25x", "2 50 ok", "250ok", "250+ok", "250\tok", "199 x", "600 x", "000",
		"250-a", "250 a|250 b", "250-a|251 b", "250-a|", " 250 ok", "-250 ok", "\x00250", "２５０ ok"} {
		got, err := smtp.ParseReply(strings.Split(lines, "|")...)
		if !errors.Is(err, smtp.ErrReply) {
			t.Errorf("%q: got %+v, %v", lines, got, err)
		}
	}
	if _, err := smtp.ParseReply(); !errors.Is(err, smtp.ErrReply) {
		t.Errorf("no line: %v", err)
	}
}

// TestParsingWhatWasPrintedGivesTheReply is the law of both directions, for text that needs no escape.
func TestParsingWhatWasPrintedGivesTheReply(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		want := smtp.Reply{Code: 200 + r.IntN(4)*100 + r.IntN(100)}
		if class := want.Code / 100; class != 3 && r.IntN(2) == 0 {
			want.Status = string(rune('0'+class)) + ".7.10"
		}
		for range 1 + r.IntN(4) {
			want.Lines = append(want.Lines, strings.Repeat("word ", r.IntN(4))+"end")
		}
		wire := string(want.AppendTo(nil))
		got, err := smtp.ParseReply(strings.Split(strings.TrimSuffix(wire, "\r\n"), "\r\n")...)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v as %q came back as %+v, %v", want, wire, got, err)
		}
	}
}

func FuzzParseReply(f *testing.F) {
	for _, s := range []string{"250 ok", "250-a\n250 b", "550-5.7.1 a\n550 5.7.1 b", "250", "421 4.4.2 \x00\x1b[", "999 x",
		"250-\n250-\n250 ", "550 5.7.1", "250 \u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := smtp.ParseReply(strings.Split(s, "\n")...)
		if err != nil {
			if !errors.Is(err, smtp.ErrReply) {
				t.Fatalf("error of another type: %v", err)
			}
			return
		}
		wire := string(r.AppendTo(nil))
		lines := strings.Split(strings.TrimSuffix(wire, "\r\n"), "\r\n")
		again, err := smtp.ParseReply(lines...)
		if err != nil || again.Code != r.Code || len(again.Lines) != len(r.Lines) {
			t.Fatalf("%q printed as %q parses as %+v, %v", s, wire, again, err)
		}
		if shown := r.String(); smtp.Printable(shown, len(shown)) != shown {
			t.Fatalf("%q is shown as %q", s, shown)
		}
	})
}

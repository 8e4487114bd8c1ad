package received

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// twoHops is a header as it stands in a message.
const twoHops = `Return-Path: <a@example.com>
Received: from b.example.com (b.example.com [IPv6:2001:db8::7])
	by c.example.net (Postfix) with ESMTPS id 2
	for <dr@clinic.test>; Tue, 1 Dec 2026
	10:00:02 +0000 (UTC)
Received: from a.example.com (a.example.com [192.0.2.7])
	by b.example.com (Postfix) with ESMTP id 1; Tue, 1 Dec 2026 10:00:01 +0000
Subject: two hops
`

// summary is what Extract must find in twoHops whatever was done to it.
var summary = []string{
	"from b.example.com (b.example.com [IPv6:2001:db8::7]) by c.example.net (Postfix) with ESMTPS id 2 for <dr@clinic.test>; Tue, 1 Dec 2026 10:00:02 +0000 (UTC)",
	"from a.example.com (a.example.com [192.0.2.7]) by b.example.com (Postfix) with ESMTP id 1; Tue, 1 Dec 2026 10:00:01 +0000",
}

func eachLine(text string, change func(string) string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := range lines {
		lines[i] = change(lines[i])
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestTheLinesAreFoundWhateverPastingDidToThem(t *testing.T) {
	unindented := eachLine(twoHops, strings.TrimSpace)
	for _, tt := range []struct {
		name, text string
		others     int
		at         []int
		repaired   bool
	}{
		{"a header block", twoHops, 2, []int{2, 6}, false},
		{"with CRLF", strings.ReplaceAll(twoHops, "\n", "\r\n"), 2, []int{2, 6}, false},
		{"with CR alone", strings.ReplaceAll(twoHops, "\n", "\r"), 2, []int{2, 6}, false},
		{"without an end", strings.TrimSuffix(twoHops, "\n"), 2, []int{2, 6}, false},
		{"with a body that looks like a header", twoHops + "\nReceived: from x by y with ESMTPS; Tue, 1 Dec 2026 10:00:00 +0000\n", 2, []int{2, 6}, false},
		{"with a body after CRLF", strings.ReplaceAll(twoHops+"\nReceived: from x by y\n", "\n", "\r\n"), 2, []int{2, 6}, false},
		{"after empty lines and a byte order mark", "\ufeff\n\n" + twoHops, 2, []int{4, 8}, false},
		{"from an mbox file", "From a@example.com Tue Dec  1 10:00:03 2026\n" + twoHops, 2, []int{3, 7}, false},
		{"from an mbox file, escaped", ">From a@example.com Tue Dec  1 10:00:03 2026\n" + twoHops, 2, []int{3, 7}, false},
		{"quoted in a reply", eachLine(twoHops, func(s string) string { return "> " + s }) + "\nMy words: Received: x\n", 2, []int{2, 6}, false},
		{"indented as a whole", eachLine(twoHops, func(s string) string { return "    " + s }), 2, []int{2, 6}, false},
		{"with an empty line after each", eachLine(twoHops, func(s string) string { return s + "\n" }), 2, []int{3, 11}, false},
		{"indented by the blanks of web pages", strings.ReplaceAll(twoHops, "\t", "\u00a0\u00a0"), 2, []int{2, 6}, false},
		{"without indent", unindented, 2, []int{2, 6}, true},
		{"without indent, CRLF", strings.ReplaceAll(unindented, "\n", "\r\n"), 2, []int{2, 6}, true},
		{"without indent, broken before an address",
			strings.Replace(unindented, " [IPv6:2001:db8::7]", "\n[IPv6:2001:db8::7]", 1), 2, []int{2, 7}, true},
		{"the field's name in capitals, with a blank before the colon",
			strings.ReplaceAll(twoHops, "Received:", "RECEIVED :"), 2, []int{2, 6}, false},
		{"other names that begin alike", strings.Replace(twoHops, "Subject:", "Received-SPF: pass\nX-Received: by x\nSubject:", 1), 4, []int{2, 6}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := Extract([]byte(tt.text))
			var values []string
			var at []int
			repaired := false
			for _, f := range found.Received {
				values, at, repaired = append(values, f.Value), append(at, f.Line), repaired || f.Repaired
			}
			if !slices.Equal(values, summary) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(values, "\n"), strings.Join(summary, "\n"))
			}
			if !slices.Equal(at, tt.at) || repaired != tt.repaired || found.Others != tt.others || found.Truncated {
				t.Errorf("at %v, repaired %v, %d others, truncated %v", at, repaired, found.Others, found.Truncated)
			}
		})
	}
}

func TestWhatIsNoHeaderHasNoLines(t *testing.T) {
	for _, text := range []string{"", "\n\n\n", "just words\nand more\n", "From a@b Tue Dec  1 10:00:03 2026\n", "\x00\xff\xfe", ">", " "} {
		if found := Extract([]byte(text)); len(found.Received) != 0 || found.Others != 0 {
			t.Errorf("%q: %+v", text, found)
		}
	}
}

func TestABodyIsNeverReadAsAHeader(t *testing.T) {
	// A header of one line, and a body of paragraphs: no double-spaced paste, for no Received line goes on in it.
	found := Extract([]byte("Subject: x\n\nDear all,\n\nThe date: today.\n\nMe\n"))
	if len(found.Received) != 0 || found.Others != 1 {
		t.Errorf("%+v", found)
	}
	found = Extract([]byte("Received: from a by b; Tue, 1 Dec 2026 10:00:00 +0000\nSubject: x\n\nReceived: forged\n"))
	if len(found.Received) != 1 || found.Others != 1 {
		t.Errorf("%+v", found)
	}
}

func TestALineThatIsCompleteTakesNoMorePieces(t *testing.T) {
	found := Extract([]byte("Received: from a by b; Tue, 1 Dec 2026 10:00:00 +0000\nstray words; Wed, 2 Dec 2026 10:00:00 +0000\nSubject: x\n"))
	if len(found.Received) != 1 || found.Received[0].Repaired || strings.Contains(found.Received[0].Value, "stray") {
		t.Errorf("%+v", found)
	}
}

func TestWhatIsTooMuchIsCutAndSaid(t *testing.T) {
	var b strings.Builder
	for i := range MaxFields + 5 {
		fmt.Fprintf(&b, "Received: from a by b id %d; Tue, 1 Dec 2026 10:00:00 +0000\n", i)
	}
	if found := Extract([]byte(b.String())); len(found.Received) != MaxFields || !found.Truncated || !strings.Contains(found.Received[0].Value, "id 0;") {
		t.Errorf("%d lines, truncated %v", len(found.Received), found.Truncated)
	}
	long := "Received: from a by b; Tue, 1 Dec 2026 10:00:00 +0000\nX-Long: " + strings.Repeat("x", MaxText)
	if found := Extract([]byte(long)); len(found.Received) != 1 || !found.Truncated {
		t.Errorf("%d lines, truncated %v", len(found.Received), found.Truncated)
	}
	body := "Received: from a by b; Tue, 1 Dec 2026 10:00:00 +0000\n\n" + strings.Repeat("x", MaxText)
	if found := Extract([]byte(body)); len(found.Received) != 1 || found.Truncated {
		t.Errorf("a large body counts as a large header: truncated %v", found.Truncated)
	}
}

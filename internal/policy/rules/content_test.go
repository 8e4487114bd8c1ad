package rules

import (
	"strings"
	"testing"

	"postern/internal/mail/mimewalk"
	"postern/internal/policy/rulematch"
)

func content(c mimewalk.Content) func(*rulematch.Facts) {
	return func(f *rulematch.Facts) { f.Content = &c }
}

func TestRulesByContent(t *testing.T) {
	pdf := content(mimewalk.Content{Attachments: []mimewalk.Attachment{{Type: "application/octet-stream", Names: []string{"Report 1.PDF", "r.exe"}}}})
	text := content(mimewalk.Content{Texts: []string{"plain words", "this is top\r\n  sec\u00adret, and long " + strings.Repeat("x ", 50_000)}})
	for _, tt := range []struct {
		name, match string
		facts       *rulematch.Facts
		want        bool
		why         string
	}{
		{"a name", "attachment = ['*.pdf']", facts(pdf), true, `attachment: "Report 1.PDF" fits "*.pdf"`},
		{"another name of it", "attachment = ['r.exe']", facts(pdf), true, "r.exe"},
		{"a type", "attachment = ['application/*']", facts(pdf), true, "application/octet-stream"},
		{"none of them", "attachment = ['*.zip', 'application/zip']", facts(pdf), false, `no value fits attachment: "application/octet-stream", "Report 1.PDF", "r.exe"`},
		{"no attachment", "attachment = ['*']", facts(text), false, "the message has no attachment"},
		{"case", "attachment = ['*.pdf']\ncase = true", facts(pdf), false, "no value fits"},
		{"names that nobody can tell", "attachment = ['*.zip']", facts(content(mimewalk.Content{AttachmentDoubt: "is encrypted"})), true, "the message is encrypted, which counts as a match"},
		{"text", "body = ['*top secret*']", facts(text), true, "body: "},
		{"an expression", "body = ['re:top +secret,']", facts(text), true, "more than"},
		{"text of another", "body = ['*bottom*']", facts(text), false, "no value fits"},
		{"text that nobody can read", "body = ['*bottom*']", facts(content(mimewalk.Content{TextDoubt: "is encrypted"})), true, "the message is encrypted"},
		{"nobody looked", "body = ['*bottom*']", facts(), true, "the message was not looked into, which counts as a match"},
		{"a large header is no matter", "body = ['*bottom*']", facts(text, header("X: "+strings.Repeat("x", 300<<10))), false, "no value fits"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := mustParse(t, ruleWith(tt.match))
			if got := matches(t, s, tt.facts); got != tt.want {
				t.Errorf("got %v", got)
			}
			if why := s.Explain(tt.facts).Rules[0].Fields[0]; !strings.Contains(why.Why, tt.why) {
				t.Errorf("%+v, want %q", why, tt.why)
			}
		})
	}
	if !mustParse(t, ruleWith("body = ['*x*']")).NeedsContent() || mustParse(t, ruleWith("subject = ['*x*']")).NeedsContent() || (*Set)(nil).NeedsContent() {
		t.Error("what needs the content is not told")
	}
}

func TestExceptionsByContent(t *testing.T) {
	two := func(texts ...string) func(*rulematch.Facts) { return content(mimewalk.Content{Texts: texts}) }
	for _, tt := range []struct {
		keys  string
		facts *rulematch.Facts
		stays bool
	}{
		{"body = ['*public*']", facts(two("all public")), false},
		{"body = ['*public*']", facts(two("all public", "secret")), true}, // which one people see depends on their program
		{"body = ['*public*']", facts(content(mimewalk.Content{Texts: []string{"public"}, TextDoubt: "is broken"})), true},
		{"body = ['*public*']", facts(), true},
		{"attachment = ['*.txt']", facts(content(mimewalk.Content{Attachments: []mimewalk.Attachment{{Type: "text/plain", Names: []string{"a.txt"}}}})), false},
		{"attachment = ['*.txt']", facts(content(mimewalk.Content{Attachments: []mimewalk.Attachment{{Type: "text/plain", Names: []string{"a.txt", "a.exe"}}}})), true},
		{"attachment = ['*.txt']", facts(content(mimewalk.Content{})), true},
		{"attachment = ['*.txt']", facts(content(mimewalk.Content{AttachmentDoubt: "is encrypted", Attachments: []mimewalk.Attachment{{Type: "text/plain", Names: []string{"a.txt"}}}})), true},
		{"attachment = ['*']", facts(content(mimewalk.Content{AttachmentDoubt: "is encrypted"})), true},
	} {
		s := mustParse(t, unless(tt.keys))
		if got := s.Evaluate(tt.facts).Recipients[0].Matched; got != tt.stays {
			t.Errorf("%s: %v", tt.keys, got)
		}
		if e := s.Explain(tt.facts).Rules[0]; e.Matched != tt.stays {
			t.Errorf("%s is explained as %+v", tt.keys, e)
		}
	}
}

// TestThousandsOfRulesByTextAreNotAllLookedAt: they are found by their literal text in one walk over the message.
func TestThousandsOfRulesByTextAreNotAllLookedAt(t *testing.T) {
	s := mustParse(t, many(3000, func(i int) string {
		return "body = ['*[case-" + strings.Repeat("7", i%7) + string(rune('a'+i%26)) + "]*']"
	}))
	if n := lookedAt(s, facts(content(mimewalk.Content{Texts: []string{"nothing of it"}}))); n != 0 {
		t.Errorf("%d rules were looked at", n)
	}
}

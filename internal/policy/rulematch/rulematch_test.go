package rulematch

import (
	"net/netip"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/policy/rule"
)

// TestWhatCannotBeJudgedCountsAsAMatchAndAsNoException: both are held against the same message, turned around.
func TestWhatCannotBeJudgedCountsAsAMatchAndAsNoException(t *testing.T) {
	for name, c := range map[string]struct {
		subject        string
		holds, excepts bool
	}{
		"it fits":                      {"secret", true, true},
		"it does not":                  {"hello", false, false},
		"it cannot be read":            {"=?none?q?hello?=", true, false},
		"programs read it differently": {"=?utf-8?q?sec?= =?utf-8?q?ret?=", true, false},
	} {
		subject := rule.Match{Subject: []string{"secret"}}
		compiler := NewCompiler(nil)
		by, but := compiler.Rule(&rule.Rule{Match: subject}), compiler.Rule(&rule.Rule{Unless: subject})
		reader := compiler.Reader()
		m := reader.Message(&Facts{From: mail.MustAddress("ann@a.test"), Recipients: []mail.Address{mail.MustAddress("bob@b.test")},
			Client: netip.MustParseAddr("192.0.2.1"), Now: time.Unix(0, 0),
			Header: mail.ParseHeader([]byte("Subject: " + c.subject + "\r\n\r\n"))})
		if got := by.Holds(m); got != c.holds {
			t.Errorf("%s: holds %v, want %v", name, got, c.holds)
		}
		if got := but.Excepted(m); got != c.excepts || !but.Holds(m) {
			t.Errorf("%s: excepted %v, want %v", name, got, c.excepts)
		}
		if names := but.Names(m, 0, c.excepts); names == c.excepts {
			t.Errorf("%s: names the recipient: %v", name, names)
		}
	}
}

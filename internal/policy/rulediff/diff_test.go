package rulediff

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/policy/rules"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file in testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew); got\n%s", path, got)
	}
}

// mustParse reads rules that are right.
func mustParse(t testing.TB, text string) *rules.Set {
	t.Helper()
	s, err := rules.Parse("rules.toml", []byte(text))
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return s
}

const partners = `
[[rule]]
name = "clinic"
action = "force-tls"
[rule.match]
sender = ["a.test"]
recipient = ["clinic.test", "*.clinic.test"]
[rule.force_tls]
unspecified_recipients = "opportunistic"
defer = "4h"

[[rule]]
name = "secret"
action = "force-tls"
match.subject = ["*[secure]*"]
match.sender_ip = ["10.0.0.0/8"]
force_tls.min_tls = "1.3"

[[rule]]
name = "big"
mode = "test"
action = "force-tls"
match.size_over = "1MB"
match.recipients_over = 5
match.header = [{ name = "X-Class", value = "a*" }]

[[rule]]
name = "old"
expires = 2026-01-01
action = "force-tls"

[[rule]]
name = "off"
scope = "disabled"
action = "force-tls"

[[rule]]
name = "trial"
mode = "test"
action = "force-tls"
match.recipient = ["b.test"]
force_tls.names = ["mail.b.test"]
`

func TestDiffTellsWhatChangesAndWhatGetsWeaker(t *testing.T) {
	old := mustParse(t, partners)
	new := mustParse(t, strings.NewReplacer(
		`"1.3"`, `"1.2"`,
		`recipient = ["clinic.test", "*.clinic.test"]`, `recipient = ["*.clinic.test"]`,
		`name = "big"`, `name = "Big"`,
		`name = "old"`, `name = "brand new"`,
		`expires = 2026-01-01`, `expires = 2027-01-01`,
		`match.recipient = ["b.test"]`, `match.recipient = ["c.test"]`,
	).Replace(partners))
	text, err := json.MarshalIndent(Diff(old, new), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "diff.golden", string(text)+"\n")
	if changes := Diff(&rules.Set{}, &rules.Set{}); len(changes) != 0 {
		t.Errorf("nothing and nothing differ: %v", changes)
	}
	for _, c := range Diff(old, &rules.Set{}) {
		if want := c.Rule == "clinic" || c.Rule == "secret" || c.Rule == "old"; c.Kind != Removed || c.Weaker != want {
			t.Errorf("removing %q: %s, weaker %v", c.Rule, c.Kind, c.Weaker)
		}
	}
	for _, c := range Diff(&rules.Set{}, old) {
		if c.Kind != Added || c.Weaker {
			t.Errorf("adding %q: %s, weaker %v", c.Rule, c.Kind, c.Weaker)
		}
	}
}

func TestDiffJudgesEveryKey(t *testing.T) {
	const base = "[[rule]]\nname = 'r'\naction = 'force-tls'\n"
	pin, pin2 := "'sha256:"+strings.Repeat("ab", 32)+"'", "'sha256:"+strings.Repeat("cd", 32)+"'"
	for _, tt := range []struct {
		before, after string
		weaker        bool
	}{
		{"", "description = 'x'", false},
		{"", "scope = 'disabled'", true},
		{"scope = 'disabled'", "", false},
		{"scope = 'disabled'", "mode = 'test'", false},
		{"", "mode = 'test'", true},
		{"mode = 'test'", "", false},
		{"", "expires = 2030-01-01", true},
		{"expires = 2030-01-01", "", false},
		{"expires = 2030-01-01", "expires = 2029-12-31", true},
		{"expires = 2030-01-01", "expires = 2030-01-02", false},
		{"expires = 2030-01-01", "expires = 2030-01-02T00:00:00Z", false},
		{"", "match.sender = ['a.test']", true},
		{"match.sender = ['a.test']", "", false},
		{"match.sender = ['a.test']", "match.sender = ['b.test', 'a.test']", false},
		{"match.sender = ['b.test', 'a.test']", "match.sender = ['a.test', 'b.test']", false},
		{"match.sender = ['a.test', 'b.test']", "match.sender = ['a.test']", true},
		{"match.recipient = ['a.test']", "match.recipient = ['b.test']", true},
		{"match.recipient = ['a.test']", "match.recipient = ['a.test', 'b.test']", false},
		{"match.sender_ip = ['10.0.0.0/8']", "match.sender_ip = ['10.0.0.0/16']", true},
		{"match.sender_ip = ['10.0.0.0/8']", "match.sender_ip = ['10.0.0.0/8', '192.0.2.1']", false},
		{"match.subject = ['a']", "match.subject = ['b']", true},
		{"match.header = [{name='a',value='b'}]", "match.header = [{name='a',value='b'},{name='c',value='d'}]", false},
		{"match.header = [{name='a',value='b'}]", "match.header = [{name='a',value='c'}]", true},
		{"", "match.size_over = 5", true},
		{"match.size_over = 5", "match.size_over = 6", true},
		{"match.size_over = 5", "match.size_over = 4", false},
		{"match.size_over = 5", "", false},
		{"match.recipients_over = 5", "match.recipients_over = 6", true},
		{"match.recipients_over = 5", "", false},
		{"match.subject = ['a']", "match.subject = ['a']\nmatch.case = true", true},
		{"match.subject = ['a']\nmatch.case = true", "match.subject = ['a']", false},
		{"match.subject = ['re:[^a]']\nmatch.case = true", "match.subject = ['re:[^a]']", true},
		{"", "force_tls.unspecified_recipients = 'opportunistic'", true},
		{"force_tls.unspecified_recipients = 'opportunistic'", "", false},
		{"", "force_tls.names = 'domain'", true},
		{"", "force_tls.names = ['a.b.test']", true},
		{"force_tls.names = 'domain'", "", true},
		{"force_tls.names = ['a.b.test']", "", true},
		{"force_tls.names = ['a.b.test']", "force_tls.names = 'domain'", true},
		{"force_tls.names = ['a.b.test']", "force_tls.names = ['a.b.test', 'c.b.test']", true},
		{"force_tls.names = ['a.b.test', 'c.b.test']", "force_tls.names = ['a.b.test']", false},
		{"", "force_tls.trust = '/ca.pem'", true},
		{"", "force_tls.pins = [" + pin + "]", false},
		{"force_tls.pins = [" + pin + "]", "", true},
		{"force_tls.pins = [" + pin + "]", "force_tls.pins = [" + pin + "," + pin2 + "]", true},
		{"force_tls.pins = [" + pin + "," + pin2 + "]", "force_tls.pins = [" + pin2 + "]", false},
		{"", "force_tls.min_tls = '1.1'", true},
		{"", "force_tls.min_tls = '1.3'", false},
		{"", "force_tls.revocation = 'off'", true},
		{"", "force_tls.revocation = 'require'", false},
		{"force_tls.revocation = 'require'", "", true},
		{"", "force_tls.mx = 'any'", true},
		{"", "force_tls.mx = 'proven'", false},
		{"force_tls.mx = 'proven'", "", true},
		{"", "force_tls.defer = '1h'", false},
		{"force_tls.without_tls = 'reject'", "force_tls.without_tls = 'defer'", false},
	} {
		changes := Diff(mustParse(t, base+tt.before), mustParse(t, base+tt.after))
		if len(changes) == 0 && !tt.weaker {
			continue // the order of a list is shown, but an equal text is no change
		}
		if len(changes) != 1 || changes[0].Kind != Changed || changes[0].Weaker != tt.weaker || (changes[0].Why != "") != tt.weaker {
			t.Errorf("from %q to %q: got %+v, want weaker %v", tt.before, tt.after, changes, tt.weaker)
		}
	}
}

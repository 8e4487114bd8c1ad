package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/cmd/postern/internal/cli"
)

// TestLists: a list is applied with its rules, shown, written out, and replaced whole.
func TestLists(t *testing.T) {
	postern := serveBacklog(t)
	file := writeRules(t, "[[list]]\nname = \"our clinics\"\nvalues = [\"clinic.test\", '\"dr, x\"@lab.test']\n\n[[rule]]\nname = \"clinic\"\n"+
		"action = \"force-tls\"\nmatch.recipient = [\"list:our clinics\"]\nmatch.literals = true\n")
	if code, _, errs := postern("rules", "apply", file); code != cli.ExitOK {
		t.Fatal(errs)
	}
	if code, _, errs := postern("rules", "apply", "--dry-run", writeRules(t, "[[list]]\nname = \"our clinics\"\nvalues = [\"clinic.test\"]\n")); code != cli.ExitOK || !strings.Contains(errs, "warning: [[list]] our clinics (line 1): is named by no rule") {
		t.Errorf("%d %q", code, errs)
	}
	if _, out, errs := postern("rules", "lists"); !strings.Contains(out, "our clinics") || !strings.Contains(out, "2") || !strings.HasSuffix(out, "clinic\n") {
		t.Errorf("%q %q", out, errs)
	}
	if _, out, _ := postern("rules", "lists", "--json"); !strings.Contains(out, `"entries":2`) {
		t.Errorf("%q", out)
	}
	_, out, _ := postern("rules", "lists", "export", "our clinics")
	if out != "clinic.test\n\"\"\"dr, x\"\"@lab.test\"\n" {
		t.Errorf("%q", out)
	}
	csv := filepath.Join(t.TempDir(), "new.csv")
	write := func(text string) {
		if err := os.WriteFile(csv, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(out)
	if _, out, errs := postern("rules", "lists", "import", "our clinics", csv); !strings.Contains(out, "already in force") && !strings.Contains(out, "no rule changes") {
		t.Errorf("what was written out comes back as %q %q", out, errs)
	}
	write("\xef\xbb\xbfdomain;since\r\nclinic.test;2024\r\n")
	code, out, errs := postern("rules", "lists", "import", "--dry-run", "our clinics", csv)
	if code != cli.ExitOK || !strings.Contains(out, "weaker") || !strings.Contains(out, "nothing was applied") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if code, out, errs := postern("rules", "lists", "import", "our clinics", csv); code != cli.ExitOK || !strings.Contains(out, "is in force: 1 rule") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if _, out, _ := postern("audit"); !strings.Contains(out, "list our clinics") || !strings.Contains(out, "rules read") {
		t.Errorf("the audit trail tells nothing of the lists: %q", out)
	}
	write("clinic.test\nno way\n")
	if code, out, errs := postern("rules", "lists", "import", "our clinics", csv); code != cli.ExitShort || !strings.Contains(errs, `line 2: "no way"`) {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if code, _, errs := postern("rules", "lists", "export", "none"); code == cli.ExitOK {
		t.Errorf("%q", errs)
	}
}

// TestRestore: what was in force is listed, shown, and put in force again, for a trial first.
func TestRestore(t *testing.T) {
	postern := serveBacklog(t)
	rule := "[[rule]]\nname = \"clinic\"\naction = \"force-tls\"\nmatch.recipient = [\"%s\"]\nmatch.literals = true\n"
	for _, domain := range []string{"first.test", "second.test"} {
		if code, _, errs := postern("rules", "apply", writeRules(t, strings.ReplaceAll(rule, "%s", domain))); code != cli.ExitOK {
			t.Fatal(errs)
		}
	}
	_, now, _ := postern("rules", "show", "--json")
	var view struct {
		Revision int64 `json:"revision"`
	}
	if err := json.Unmarshal([]byte(now), &view); err != nil {
		t.Fatal(err)
	}
	last, first := fmt.Sprint(view.Revision), fmt.Sprint(view.Revision-1)
	_, out, errs := postern("rules", "revisions", "--limit", "2")
	if lines := strings.Split(out, "\n"); len(lines) != 4 || !strings.HasPrefix(lines[1], last) || !strings.HasPrefix(lines[2], first) {
		t.Errorf("%q %q", out, errs)
	}
	if _, out, errs := postern("rules", "revisions", "--limit", "1", "--json"); !strings.Contains(out, `"revision":`+last) || !strings.Contains(out, "second.test") {
		t.Errorf("%q %q", out, errs)
	}
	if _, out, errs := postern("rules", "revisions", last); !strings.Contains(out, `["first.test"] -> ["second.test"]`) {
		t.Errorf("%q %q", out, errs)
	}
	if code, out, errs := postern("rules", "restore", first, "--dry-run"); code != cli.ExitOK || !strings.Contains(out, `["second.test"] -> ["first.test"]`) || !strings.Contains(out, "nothing was applied") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if code, out, errs := postern("rules", "restore", first, "--if-revision", first); code == cli.ExitOK || errs == "" {
		t.Errorf("what is in force was not looked at: %d %q", code, out)
	}
	if code, out, errs := postern("rules", "restore", first, "--if-revision", last); code != cli.ExitOK || !strings.Contains(out, fmt.Sprintf("revision %d is in force: 1 rule", view.Revision+1)) {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if _, out, _ := postern("rules", "export"); !strings.Contains(out, "first.test") {
		t.Errorf("%q", out)
	}
	if code, _, errs := postern("rules", "restore", "4711"); code == cli.ExitOK || !strings.Contains(errs, "revision 4711") {
		t.Errorf("%d %q", code, errs)
	}
}

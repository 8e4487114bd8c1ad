package recipients_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/recipients"
	"postern/internal/mail"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	// In one step: a look at the file may come at the same moment.
	if err := errors.Join(os.WriteFile(name+".new", []byte(text), 0o600), os.Rename(name+".new", name)); err != nil {
		t.Fatal(err)
	}
}

func TestAListIsReadAtTheStartOrItIsAnError(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"good": "anna@listed.test\n@any.test\n", "bad": "anna@listed.test\nbert\n", "empty": "# nobody yet\n",
		"other": "anna@other.test\n"} {
		write(t, filepath.Join(dir, name), text)
	}
	listed := mail.MustDomain("listed.test")
	for name, want := range map[string]string{"good": "", "bad": "bad: line 2: not a mail address", "empty": "empty: it has no address of listed.test",
		"other": "other: it has no address of listed.test", "missing": "missing: no such file", ".": ": it is no ordinary file"} {
		file := filepath.Join(dir, name)
		_, err := recipients.Read([]recipients.Source{{Domain: listed, File: file}, {Domain: mail.MustDomain("any.test"), Any: true}})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	both := []recipients.Source{{Domain: listed, File: filepath.Join(dir, "missing")}, {Domain: mail.MustDomain("any.test"), File: filepath.Join(dir, "missing")}}
	if _, err := recipients.Read(both); err == nil || strings.Count(err.Error(), "missing") != 1 {
		t.Errorf("one file of two domains: %v", err)
	}
	both[0].File, both[1].File = filepath.Join(dir, "good"), filepath.Join(dir, "good")
	if _, err := recipients.Read(both); err != nil {
		t.Error(err)
	}
}

func TestAListIsWatchedAndItsLastGoodContentStays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "people")
	story(t, func(w *world) {
		write(t, file, "anna@listed.test\n")
		w.use(recipients.Source{Domain: mail.MustDomain("listed.test"), File: file})
		look := func() { time.Sleep(6 * time.Second) }
		w.want("Anna+shop@listed.test", "")
		w.want("bert@listed.test", nobody)

		write(t, file, "anna@listed.test\nbert@listed.test\n")
		look()
		w.want("bert@listed.test", "")

		for i, text := range []string{"anna@listed.test\nber", "", "# all gone\n", "anna@other.test\n"} {
			write(t, file, text)
			look()
			look()
			w.want("bert@listed.test", "")
			w.want("carl@listed.test", nobody)
			if got := w.warnings(); len(got) > i+1 || len(got) == 0 {
				t.Errorf("after %q: warnings %q", text, got)
			}
		}
		before := len(w.warnings())
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		look()
		look()
		w.want("bert@listed.test", "")
		if got := w.warnings(); len(got) != before+1 || !strings.Contains(got[before], "no such file") {
			t.Errorf("a list that is gone: %q", got)
		}
		write(t, file, "carl@listed.test\n")
		look()
		w.want("carl@listed.test", "")
		w.want("bert@listed.test", nobody)
		if n := w.said("RCPT"); n > 0 {
			t.Errorf("%d questions though there is a list", n)
		}
	})
}

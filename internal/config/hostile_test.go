package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, strings.ReplaceAll(format, "%d", "%[1]d"), i)
	}
	return b.String()
}

// A file made to be slow is refused, or read, in seconds, and the error stays short enough to be read. (Before there
// were bounds the third and fourth took minutes, and errors had megabytes.)
func TestFilesMadeToBeSlow(t *testing.T) {
	for name, tc := range map[string]struct{ text, wanted string }{
		"deep lists":         {"data = " + strings.Repeat("[", 200_000), "nested"},
		"deep tables":        {"data = " + strings.Repeat("{a=", 100_000) + "1", "nested"},
		"unknown keys":       {many(100_000, "k%d = 1\n"), "a table of more than"},
		"unknown tables":     {many(100_000, "[t%d]\n"), "different tables"},
		"a dotted key":       {strings.Repeat("a.", 200_000) + "a = 1\n", "parts"},
		"long keys":          {many(100, "k%d"+strings.Repeat("x", 10_000)+" = 1\n"), "unknown key"},
		"a long line":        {"hostname = \"" + strings.Repeat("x", 4<<20) + "\"\n", "not a domain name"},
		"a list of nonsense": {"[relay]\nnetworks = [" + strings.Repeat("\"x\",", 300_000) + "]\n", "relay.networks[0]"},
		"a long list":        {"[relay]\nnetworks = [" + strings.Repeat("\"10.0.0.0/8\",", 100_000) + "]\n", ""},
		"empty domains":      {strings.Repeat("[[domain]]\n", 50_000), "domain[0].name"},
		"many domains":       {many(20_000, "[[domain]]\nname = \"d%d.test\"\ndeliver_to = [\"a\"]\n"), ""},
		"blank lines":        {strings.Repeat("\n", 8<<20), ""},
		"too large":          {strings.Repeat("\n", 17<<20), "at most 16777216 are allowed"},
	} {
		began := time.Now()
		_, err := Parse("f.toml", "/", "gw.test", []byte(tc.text))
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		switch {
		case tc.wanted == "" && err != nil:
			t.Errorf("%s: %.300v", name, err)
		case tc.wanted != "" && err == nil:
			t.Errorf("%s: accepted", name)
		case err != nil && (!strings.Contains(err.Error(), tc.wanted) || len(err.Error()) > 128<<10):
			t.Errorf("%s: %d bytes of error without %q: %.300v", name, len(err.Error()), tc.wanted, err)
		}
	}
}

func TestAFileWithoutAnEndIsNotReadForEver(t *testing.T) {
	_, err := Load("/dev/zero")
	if err == nil || !strings.Contains(err.Error(), "at most 16777216 are allowed") {
		t.Errorf("%.300v", err)
	}
}

// What is wrong with a file is shown, and logged at SIGHUP; a hash is not.
func TestNoHashIsShownWithAProblem(t *testing.T) {
	for _, text := range []string{
		"[[user]]\nname = \"a\"\npassword_hash = \"$argon2id$v=19$c2VjcmV0\"\n",
		"[[user]]\nname = \"a\"\npassword_hash = \"$argon2id$v=19$c2VjcmV0\n",
		"user = [{name = 1, password_hash = \"$argon2id$v=19$c2VjcmV0\"}]\n",
		"[[user]]\npassword_hashes = \"$argon2id$v=19$c2VjcmV0\"\n",
	} {
		_, err := Parse("f.toml", "/", "gw.test", []byte(text))
		if err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAByteOrderMarkIsSkipped(t *testing.T) {
	c, err := parse("\ufeffhostname = \"mx.test\"\r\n")
	if err != nil || c.Hostname.String() != "mx.test" {
		t.Fatalf("%v", err)
	}
	if _, err := parse("\ufeffhostnam = 1\n"); err == nil || !strings.Contains(err.Error(), "t.toml:1:1: unknown key hostnam\n    1 | hostnam = 1\n        ^") {
		t.Errorf("a fault of the first line: %v", err)
	}
}

package mail

import (
	"fmt"
	"strings"
	"testing"
)

// What a digest keeps reads as it did in the message, and it is known what it keeps.
func TestADigestReadsAsTheMessageDid(t *testing.T) {
	text := "Subject: =?utf-8?q?[secure]?=\r\n results\r\nX-Class: a\r\nx-class:\tb\xff\r\nX-Long: " + strings.Repeat("y", MaxDigest) + "\r\nFrom: a@b.test\r\n\r\n"
	d := ParseHeader([]byte(text)).Digest([]string{"subject", "x-class", "x-none", "x-long"})
	if !d.Knows([]string{"subject", "x-class", "x-none"}) || d.Knows([]string{"x-long"}) || d.Knows([]string{"from"}) || !d.Knows(nil) {
		t.Errorf("it knows %q", d.Names)
	}
	for _, name := range []string{"Subject", "X-Class", "X-None"} {
		was, is := ParseHeader([]byte(text)).All(name), d.Header().All(name)
		if len(was) != len(is) {
			t.Fatalf("%s: %d, were %d", name, len(is), len(was))
		}
		for i := range was {
			if was[i].Value() != is[i].Value() || fmt.Sprint(was[i].Text().Readings()) != fmt.Sprint(is[i].Text().Readings()) {
				t.Errorf("%s reads %q, was %q", name, is[i].Value(), was[i].Value())
			}
		}
	}
	var none *Digest
	if none.Knows([]string{"subject"}) || !none.Knows(nil) || len(none.Header().Fields()) != 0 {
		t.Error("a digest of nothing knows something")
	}
	if ParseHeader([]byte(strings.Repeat("X: y\n", MaxHeaderFields+1))).Digest([]string{"x"}) != nil || ParseHeader(nil).Digest(nil) != nil {
		t.Error("a digest of what was not read in full, or of nothing")
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("x-%d", i))
	}
	if d := ParseHeader([]byte("A: b\n\n")).Digest(many); len(d.Names) != MaxDigestNames {
		t.Errorf("%d names", len(d.Names))
	}
}

package addresslist

import (
	"errors"
	"strings"
	"testing"

	"postern/internal/mail"
)

const text = "\xef\xbb\xbf# who is here\r\n\r\n" +
	"Anna@Example.com\t# the front desk\r\n" +
	"  bert@example.com  \n" +
	"\"front # desk\"@example.com # a quoted one\n" +
	"\"plain\"@example.com\n" +
	"list+owner@example.com\n" +
	"jürgen@bücher.test\n" +
	"@all.example.com\n" +
	"no#comment@example.com"

func TestWhoIsListed(t *testing.T) {
	l, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"anna@example.com": true, "ANNA@EXAMPLE.COM": true, "anna+shop@example.com": true, "anna+a+b@example.com": true,
		"anna@all.example.com": true, "whoever@all.example.com": true, "bert@example.com": true, "\"bert\"@example.com": true,
		"\"front # desk\"@example.com": true, "plain@example.com": true, "list+owner@example.com": true, "jürgen@xn--bcher-kva.test": true,
		"no#comment@example.com": true,
		"list@example.com":       false, "list+other@example.com": false, "+shop@example.com": false, "annab@example.com": false,
		"anna@other.test": false, "anna-shop@example.com": false, "anna@sub.all.example.com": false, "\"anna+shop\"@example.com": true,
		"\"an na+shop\"@example.com": false,
	} {
		if got := l.Has(mail.MustAddress(address)); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	if l.Len() != 8 || !l.Names(mail.MustDomain("all.example.com")) || !l.Names(mail.MustDomain("example.com")) || l.Names(mail.MustDomain("other.test")) {
		t.Errorf("%d entries, named %v", l.Len(), l.named)
	}
	var empty List
	if empty.Has(mail.MustAddress("a@b.test")) {
		t.Error("the zero list has somebody")
	}
}

func TestABadLineIsAnErrorWithItsLine(t *testing.T) {
	for line, want := range map[string]string{
		"anna":                      "line 2: not a mail address",
		"anna@":                     "line 2: not a mail address",
		"@":                         "line 2: ",
		"@exa mple.com":             "line 2: there is more than one",
		"anna@example.com OK":       "line 2: there is more than one",
		"a@x.test b@x.test":         "line 2: there is more than one",
		"a@x.test, b@x.test":        "line 2: there is more than one",
		"<a@x.test>":                "line 2: not a mail address",
		"*@x.test extra":            "line 2: there is more than one",
		"\"open@x.test":             "line 2: not a mail address",
		"\xff@x.test":               "line 2: not a mail address",
		strings.Repeat("a", 2001):   "line 2: it is too long",
		"a\x00@x.test":              "line 2: not a mail address",
		"anna@example.com#no blank": "line 2: ",
	} {
		_, err := Parse([]byte("# first\n" + line + "\nbert@x.test\n"))
		var e *Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", line, err, want)
		}
	}
	if _, err := Parse(make([]byte, MaxSize+1)); !errors.Is(err, errSize) {
		t.Errorf("a list over the limit: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(text), "anna@example.com")
	f.Add([]byte("@x.test\n\"a\\\" b\"@x.test #"), "\"a\\\" b\"@x.test")
	f.Fuzz(func(t *testing.T, text []byte, address string) {
		l, err := Parse(text)
		a, bad := mail.ParseAddress(address)
		if err != nil || bad != nil {
			return
		}
		if l.Has(a) && !l.Names(a.Domain) {
			t.Errorf("%q is listed in a domain that is not named", a)
		}
	})
}

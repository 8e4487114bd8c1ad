package acceptance

import (
	"strings"
	"testing"

	"postern/test/harness"
)

// TestNoSubjectSlipsPastARule sends a subject of each kind that people read and a search for letters does not find, or
// that nobody can read for certain, to a partner without TLS: none may reach it, and explain says of each that it
// matches.
func TestNoSubjectSlipsPastARule(t *testing.T) {
	t.Parallel()
	w := town(t)
	w.Start("[[rule]]\nname = \"marked\"\naction = \"force-tls\"\n[rule.match]\n" +
		"subject = [\"*streng geheim*\"]\n[rule.force_tls]\nwithout_tls = \"defer\"\ndefer = \"60s\"\n")
	for name, subject := range map[string]string{
		"folded by a tab":       "streng\r\n\tgeheim",
		"folded by blanks":      "streng \r\n   geheim",
		"a no-break space":      "streng\u00a0geheim",
		"a thin space":          "streng\u2009geheim",
		"Latin-1 NBSP":          "=?iso-8859-1?Q?streng=A0geheim?=",
		"zero width":            "stre\u200bng geheim",
		"a soft hyphen":         "streng ge\u00adheim",
		"full width":            "ｓｔｒｅｎｇ　ｇｅｈｅｉｍ",
		"marks of direction":    "\u2066streng\u2069 geheim",
		"two words":             "=?utf-8?q?streng?=\r\n =?utf-8?q?geheim?=",
		"Latin-1 as it is":      "f\xfcr \xc4rzte",
		"KOI8-R as it is":       "\xd3\xc5\xcb\xd2\xc5\xd4\xce\xcf",
		"a Latin-1 soft hyphen": "streng ge\xadheim",
		"an unknown charset":    "=?x-nobody?b?c3RyZW5nIGdlaGVpbQ==?=",
		"broken base64":         "=?utf-8?b?c3RyZW5nIGdlaGVpb!?=",
		"broken Q":              "=?utf-8?q?streng=2_geheim?=",
		"UTF-7":                 "=?utf-7?q?streng_+AGcAZQBoAGUAaQBt-?=",
		"UTF-7 of no word":      "streng +AGcAZQBoAGUAaQBt-",
		"UTF-16 without a mark": "=?utf-16?B?AHMAdAByAGUAbgBn?=",
		"words in words":        "=?utf-8?q?=3D=3Futf-8=3Fb=3Fc3RyZW5nIGdlaGVpbQ=3D=3D=3F=3D?=",
		"a broken letter":       "=?utf-8?q?streng=C3?=",
		"a word without an end": "=?utf-8?q?streng_geh",
		"Japanese, seven bits":  "\x1b$BF|K\\\x1b(B",
	} {
		to := strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(name), " ", "."), ",", "") + "@shop.test"
		content := "From: <anna@home.test>\r\nSubject: " + subject + "\r\n\r\nprotected " + to + "\r\n"
		c := w.Connect("")
		c.Say("EHLO mail.home.test", "250")
		c.Transaction("anna@home.test", []string{to}, content)
		c.Conn.Close()
		w.Await(to, harness.Waits("starttls-not-offered")).Want(t, map[string]string{"rule": "marked", "requires": "authenticated"})
		file := w.Write("hostile.eml", []byte(content))
		told := w.Postern("rules", "explain", "--from", "anna@home.test", "--to", to, "--message", file)
		if !strings.Contains(told, to+" requires authenticated") || !strings.Contains(told, "match.subject") ||
			!strings.Contains(told, "rule marked (enforce) matches") {
			t.Errorf("%s: explain says\n%s", name, told)
		}
	}
	if lines := harness.Forbidden(w.Hosts["mx.shop.test"], false); len(lines) > 0 {
		t.Errorf("the shop heard %q", lines)
	}

	for name, subject := range map[string]string{
		"ordinary": "Gr\u00fc\u00dfe", "latin": "=?iso-8859-1?Q?Gr=FC=DFe?=", "japanese": "=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=",
		"korean": "=?ks_c_5601-1987?B?tOvAzrHi?=", "chinese": "=?Big5?B?pKSk5Q==?=", "broken": "=?utf-8?b?b2LD?=\r\n =?utf-8?b?pHI=?=",
	} {
		to := name + "@shop.test"
		c := w.Connect("")
		c.Say("EHLO mail.home.test", "250")
		c.Transaction("anna@home.test", []string{to}, "From: <anna@home.test>\r\nSubject: "+subject+"\r\n\r\nordinary\r\n")
		c.Conn.Close()
		w.Await(to, harness.In("delivered")).Want(t, map[string]string{"reached": "plaintext", "rule": ""})
	}
}

// What cannot be read is said with its field and its reason.
func TestExplainSaysWhatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rules := w.Write("r.toml", []byte("[[rule]]\nname = \"marked\"\naction = \"force-tls\"\n[rule.match]\n"+
		"header = [{ name = \"X-Class\", value = \"geheim*\" }]\n"))
	file := w.Write("m.eml", []byte("X-Class: =?x-nobody?q?abc?=\r\nSubject: x\r\n\r\ntext\r\n"))
	told := w.Postern("rules", "explain", "--rules", rules, "--from", "a@home.test", "--to", "b@shop.test", "--message", file)
	told = strings.Join(strings.Fields(told), " ")
	for _, want := range []string{"x-class could not be read as text", `unknown charset "x-nobody"`, "counts as a match", "b@shop.test requires authenticated"} {
		if !strings.Contains(told, want) {
			t.Errorf("explain does not say %q:\n%s", want, told)
		}
	}
}

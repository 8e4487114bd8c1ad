package smtp_test

import (
	"math"
	"strings"
	"testing"

	"postern/internal/mail"
	"postern/internal/smtp"
)

func TestACommandLineIsSplitAfterItsVerb(t *testing.T) {
	for _, tc := range []struct {
		line string
		verb smtp.Verb
		arg  string
	}{
		{"EHLO c.test", smtp.VerbEHLO, "c.test"},
		{"mail from:<a@b.test>", smtp.VerbMAIL, "from:<a@b.test>"},
		{"QUIT  \t", smtp.VerbQUIT, ""},
		{"DATA now", smtp.VerbDATA, "now"},
		{"STARTTLSXYZ junk", smtp.VerbUnknown, "junk"},
		{"STARTTLS", smtp.VerbSTARTTLS, ""},
		{" NOOP", smtp.VerbUnknown, "NOOP"},
		{"MAIL\tFROM:<a@b.test>", smtp.VerbUnknown, ""},
		{"", smtp.VerbUnknown, ""},
		{"EHL\u00d6", smtp.VerbUnknown, ""},
		{"GET / HTTP/1.1", smtp.VerbForeign, "/ HTTP/1.1"},
	} {
		got := smtp.ParseCommand([]byte(tc.line))
		if got.Verb != tc.verb || string(got.Arg) != tc.arg {
			t.Errorf("%q: got %v %q, want %v %q", tc.line, got.Verb, got.Arg, tc.verb, tc.arg)
		}
	}
}

func TestACleanLineHasNoControlCharacters(t *testing.T) {
	for _, line := range []string{"NOOP", "NOOP a\tb", "MAIL FROM:<j\u00f6rg@c.test>", ""} {
		if !smtp.CleanLine([]byte(line)) {
			t.Errorf("%q is clean", line)
		}
	}
	for _, line := range []string{"\x00", "a\rb", "a\nb", "\x1b[0m", "\x7f", "\x1f"} {
		if smtp.CleanLine([]byte(line)) {
			t.Errorf("%q is not clean", line)
		}
	}
}

func TestANameInEHLOHasNoMeaningElsewhere(t *testing.T) {
	for _, arg := range []string{"c.test", "[192.0.2.1]", "[IPv6:2001:db8::1]", "host_1", "  c.test", "DESKTOP-1"} {
		if name, no := smtp.ParseHello([]byte(arg)); no != nil || name != strings.TrimSpace(arg) {
			t.Errorf("%q: %q, %v", arg, name, no)
		}
	}
	for _, arg := range []string{"", " ", "a b", "a(b)", "<a>", "a;b", `a"b`, `a\b`, "b\u00fccher.test", "a\u2028b", strings.Repeat("x", 256)} {
		if name, no := smtp.ParseHello([]byte(arg)); no == nil || no.Code != 501 {
			t.Errorf("%q was accepted as %q", arg, name)
		}
	}
}

// TestWhatProtectsNobodyRefusesNoMail tells situations of the field: senders that lists, forwarders and old systems
// make, and parameters about reports that programs get wrong. What a strict reader answers here with 501 or 553 is mail
// lost.
func TestWhatProtectsNobodyRefusesNoMail(t *testing.T) {
	srs := "SRS1=HHHH=forwarder.example.net==HHHH=TT=origin.example.org=newsletter-bounces+verp-12345"
	for _, tc := range []struct{ what, from, want string }{
		{"a forwarder of a forwarder", "<" + srs + "@b.test>", srs + "@b.test"},
		{"VERP with the recipient in it", "<bounce-1234567-ann.marie.of.the.long.name=department.university.example@b.test>", "bounce-1234567-ann.marie.of.the.long.name=department.university.example@b.test"},
		{"BATV on top", "<prvs=0123456789=" + strings.Repeat("x", 64) + "@b.test>", "prvs=0123456789=" + strings.Repeat("x", 64) + "@b.test"},
		{"the whole path", "<" + strings.Repeat("x", 247) + "@b.test>", strings.Repeat("x", 247) + "@b.test"},
		{"a mobile provider's mailbox", "<taro..yamada.@b.test>", "taro..yamada.@b.test"},
		{"a dot in front", "<.taro@b.test>", ".taro@b.test"},
		{"X.400", "</G=John/S=Doe/O=org/ADMD=x/C=de/@b.test>", "/G=John/S=Doe/O=org/ADMD=x/C=de/@b.test"},
		{"a host with an underscore", "<root@web_01.b.test>", "root@web_01.b.test"},
		{"a host with a hyphen at the end", "<root@shop-.b.test>", "root@shop-.b.test"},
		{"labels of digits", "<root@10.1.2.3>", "root@10.1.2.3"},
		{"a name without a dot", "<root@localhost>", "root@localhost"},
		{"ENVID with small digits", "<a@b.test> ENVID=QQ+3d1", "a@b.test envid=QQ+3D1"},
		{"ENVID with what should be escaped", "<a@b.test> ENVID=a=b+c", "a@b.test envid=a+3Db+2Bc"},
		{"ENVID that cannot be read", "<a@b.test> ENVID=" + strings.Repeat("x", 101), "a@b.test"},
		{"ENVID that is empty", "<a@b.test> ENVID= RET=FULL", "a@b.test ret=FULL"},
		{"RET with another word", "<a@b.test> RET=HEADERS", "a@b.test"},
		{"RET twice", "<a@b.test> RET=HDRS RET=FULL", "a@b.test ret=HDRS"},
	} {
		got, no := smtp.ParseMail([]byte("FROM:"+tc.from), extended)
		told := got.Envelope.From.String()
		if got.Envelope.EnvID != "" {
			told += " envid=" + got.Envelope.EnvID
		}
		if got.Envelope.Ret != "" {
			told += " ret=" + string(got.Envelope.Ret)
		}
		if no != nil || told != tc.want {
			t.Errorf("%s: %q is %q, %v; want %q", tc.what, tc.from, told, no, tc.want)
		}
	}
	for _, tc := range []struct {
		what, params, orcpt string
		notify              mail.Notify
	}{
		{"small digits", "ORCPT=rfc822;b+2btag+40c.test", "rfc822;b+2Btag+40c.test", 0},
		{"a plus as it stands", "ORCPT=rfc822;b+tag@c.test", "rfc822;b+2Btag@c.test", 0},
		{"a plus before what could be digits", "ORCPT=rfc822;b+beta@c.test", "rfc822;b+2Bbeta@c.test", 0},
		{"an equals sign", "ORCPT=rfc822;srs=x=y@c.test", "rfc822;srs+3Dx+3Dy@c.test", 0},
		{"no kind", "ORCPT=b@c.test", "", 0},
		{"no address", "ORCPT=rfc822;", "", 0},
		{"too long", "ORCPT=rfc822;" + strings.Repeat("x", 494), "", 0},
		{"raw Latin-1", "ORCPT=rfc822;b\xfc", "", 0},
		{"a contradiction", "NOTIFY=NEVER,FAILURE", "", mail.NotifyFailure},
		{"no word", "NOTIFY=", "", 0},
		{"an unknown word", "NOTIFY=FAILURE,RELAYED", "", mail.NotifyFailure},
		{"twice", "NOTIFY=NEVER NOTIFY=FAILURE", "", mail.NotifyNever},
	} {
		offered := extended
		offered.UTF8 = true
		got, no := smtp.ParseRcpt([]byte("TO:<b@c.test> "+tc.params), offered)
		if no != nil || got.ORCPT != tc.orcpt || got.Notify != tc.notify {
			t.Errorf("%s: %q is %+v, %v", tc.what, tc.params, got, no)
		}
	}
}

var extended = smtp.Offered{Extended: true}

func TestMailParametersAreRead(t *testing.T) {
	for _, tc := range []struct {
		arg     string
		offered smtp.Offered
		want    smtp.MailCommand
	}{
		{"FROM:<>", smtp.Offered{}, smtp.MailCommand{}},
		{"FROM: <a@b.test>", smtp.Offered{}, smtp.MailCommand{Envelope: mail.Envelope{From: mail.MustAddress("a@b.test")}}},
		{`FROM:<"a> SIZE=1"@b.test> SIZE=0099`, extended,
			smtp.MailCommand{Envelope: mail.Envelope{From: mail.MustAddress(`"a> SIZE=1"@b.test`)}, Size: 99}},
		{"FROM:<>  BODY=7bit   size=99999999999999999999 ", extended, smtp.MailCommand{Size: math.MaxInt64}},
		{"FROM:<> BODY=8bitmime RET=hdrs ENVID=a+2Bb SMTPUTF8", extended, smtp.MailCommand{Envelope: mail.Envelope{
			Body: mail.Body8BitMIME, Ret: mail.ReturnHeaders, EnvID: "a+2Bb", UTF8: true}}},
		{"FROM:<> AUTH=<>", smtp.Offered{Extended: true, Auth: true}, smtp.MailCommand{}},
	} {
		got, no := smtp.ParseMail([]byte(tc.arg), tc.offered)
		if no != nil || got != tc.want {
			t.Errorf("%q: got %+v, %v; want %+v", tc.arg, got, no, tc.want)
		}
	}
}

func TestMailCommandsAreRefusedWithTheirCode(t *testing.T) {
	for _, tc := range []struct {
		arg  string
		code int
	}{
		{"", 501}, {"FROM", 501}, {"FROM:", 501}, {"TO:<a@b.test>", 501}, {"FROM:<a@b.test", 501}, {"FROM:a@b.test>", 501},
		{`FROM:<"a@b.test>`, 501}, {`FROM:<"a\`, 501}, {"FROM:<a@b.test>SIZE=1", 501}, {"FROM:<a@b.test>>", 501},
		{"FROM:< >", 553}, {"FROM:< a@b.test>", 553}, {"FROM:<a @b.test>", 553}, {"FROM:<a@b@c.test>", 553}, {"FROM:<@a.test,@b.test:c@d.test>", 553},
		{"FROM:<a>", 553}, {"FROM:<postmaster>", 553}, {"FROM:<a@b_.test.->", 553},
		{"FROM:<" + strings.Repeat("x", 248) + "@b.test>", 553}, {"FROM:<a@" + strings.Repeat("x.", 127) + "test>", 553},
		{"FROM:<a@b.test> SIZE", 501}, {"FROM:<a@b.test> SIZE=", 501}, {"FROM:<a@b.test> SIZE=-1", 501}, {"FROM:<a@b.test> SIZE=1e9", 501},
		{"FROM:<a@b.test> SIZE=1 size=2", 501}, {"FROM:<a@b.test> SIZE=999999999999999999999", 501},
		{"FROM:<a@b.test> BODY", 501}, {"FROM:<a@b.test> BODY=BINARYMIME", 501}, {"FROM:<a@b.test> SMTPUTF8=1", 501},
		{"FROM:<a@b.test> AUTH=<>", 555}, {"FROM:<a@b.test> REQUIRETLS", 555}, {"FROM:<a@b.test> =", 555}, {"FROM:<a@b.test> X=Y=Z", 555},
		{"FROM:<\u00fc@b.test>", 553}, {"FROM:<a@\u00fc.test>", 553},
	} {
		got, no := smtp.ParseMail([]byte(tc.arg), extended)
		if no == nil || no.Code != tc.code || no.Status == "" || no.Error() == "" || strings.Contains(no.Text, "b.test") {
			t.Errorf("%q: got %+v, %+v; want %d", tc.arg, got, no, tc.code)
		}
	}
	if _, no := smtp.ParseMail([]byte("FROM:<a@b.test> SIZE=1"), smtp.Offered{}); no == nil || no.Code != 555 {
		t.Errorf("a parameter after HELO: %v", no)
	}
}

func TestRcptParametersAreRead(t *testing.T) {
	to := mail.MustAddress("b@c.test")
	for _, tc := range []struct {
		arg  string
		want mail.Recipient
	}{
		{"TO:<b@c.test>", mail.Recipient{Address: to}},
		{"to:<PostMaster>", mail.Recipient{Address: mail.Address{Local: "postmaster"}}},
		{"TO:<b@C.TEST.> NOTIFY=NEVER", mail.Recipient{Address: to, Notify: mail.NotifyNever}},
		{"TO:<b@c.test> notify=delay,SUCCESS orcpt=rfc822;b+2B@c.test",
			mail.Recipient{Address: to, Notify: mail.NotifyDelay | mail.NotifySuccess, ORCPT: "rfc822;b+2B@c.test"}},
		{`TO:<b@c.test> ORCPT=utf-8;j\x{F6}rg@c.test`, mail.Recipient{Address: to, ORCPT: `utf-8;j\x{F6}rg@c.test`}},
	} {
		got, no := smtp.ParseRcpt([]byte(tc.arg), extended)
		if no != nil || got != tc.want {
			t.Errorf("%q: got %+v, %v; want %+v", tc.arg, got, no, tc.want)
		}
	}
	utf := smtp.Offered{Extended: true, UTF8: true}
	got, no := smtp.ParseRcpt([]byte("TO:<j\u00f6rg@b\u00fccher.test> ORCPT=utf-8;j\u00f6rg@c.test"), utf)
	if no != nil || got.Address.String() != "j\u00f6rg@xn--bcher-kva.test" || got.ORCPT != "utf-8;j\u00f6rg@c.test" {
		t.Errorf("UTF-8: %+v, %v", got, no)
	}
}

func TestRcptCommandsAreRefusedWithTheirCode(t *testing.T) {
	for _, tc := range []struct {
		arg  string
		code int
	}{
		{"TO:<>", 501}, {"TO:b@c.test", 501}, {"FROM:<b@c.test>", 501}, {"TO:<@a.test:b@c.test>", 550}, {"TO:<b>", 553}, {"TO:<b@>", 553},
		{"TO:<b@[1.2.3.4.5]>", 553}, {"TO:<b@[IPv6:zz]>", 553}, {"TO:<b@c.test> SIZE=1", 555}, {"TO:<j\u00f6rg@c.test>", 553}, {"TO:<j\xff@c.test>", 553},
	} {
		if got, no := smtp.ParseRcpt([]byte(tc.arg), extended); no == nil || no.Code != tc.code {
			t.Errorf("%q: got %+v, %+v; want %d", tc.arg, got, no, tc.code)
		}
	}
}

// FuzzCommand holds the parsers to this: no panic, and an address they accept is read again from its own wire form.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{"MAIL FROM:<>", `MAIL FROM:<"a\"b"@c.test> SIZE=1`, "RCPT TO:<@a:b@c>", "RCPT TO:<j\u00f6rg@c.test> ORCPT=utf-8;x",
		"EHLO [1.2.3.4]", "mail from:<a@b\u3002test> smtputf8 body=8bitmime ret=full envid=+3D", "RCPT TO:<Postmaster> NOTIFY=NEVER"} {
		f.Add([]byte(s))
	}
	all := smtp.Offered{Extended: true, Auth: true, UTF8: true}
	f.Fuzz(func(t *testing.T, line []byte) {
		cmd := smtp.ParseCommand(line)
		switch cmd.Verb {
		case smtp.VerbMAIL:
			if m, no := smtp.ParseMail(cmd.Arg, all); no == nil {
				again, no := smtp.ParseMail([]byte("FROM:<"+m.Envelope.From.String()+"> SMTPUTF8"), all)
				if no != nil || again.Envelope.From != m.Envelope.From {
					t.Errorf("%q became %q, which became %q, %v", line, m.Envelope.From, again.Envelope.From, no)
				}
			}
		case smtp.VerbRCPT:
			if r, no := smtp.ParseRcpt(cmd.Arg, all); no == nil {
				again, no := smtp.ParseRcpt([]byte("TO:<"+r.Address.String()+">"), all)
				if no != nil || again.Address != r.Address {
					t.Errorf("%q became %q, which became %q, %v", line, r.Address, again.Address, no)
				}
			}
		case smtp.VerbEHLO:
			smtp.ParseHello(cmd.Arg)
		}
	})
}

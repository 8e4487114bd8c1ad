package received

import (
	"strings"
	"testing"
	"time"
)

func TestThePeersWordsStayInTheirPlace(t *testing.T) {
	const date = "; Tue, 1 Dec 2026 10:00:00 +0000"
	for _, tt := range []struct {
		name, line string
		want       string
	}{
		{"an address breaks out of Exim's comment",
			`from [192.0.2.7] (helo=mail.example.com) by mx.clinic.test with esmtp (Exim 4.96) (envelope-from <"a) with esmtps (TLS1.3) tls TLS_AES_256_GCM_SHA384 (b"@evil.example>) id 1p0` + date,
			"form=exim | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=esmtp | id=1p0 | tls=plain"},
		{"an address wears the comment of another form",
			`from [192.0.2.7] (helo=mail.example.com) by mx.clinic.test with esmtp (Exim 4.96) (envelope-from <"a) (version=TLSv1.3 cipher=X bits=256) (b"@evil.example>) id 1p0` + date,
			"form=exim | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=esmtp | id=1p0 | tls=plain"},
		{"an address writes Haraka's clause",
			`from mail.example.com ([192.0.2.7]) by mx.clinic.test (Haraka/3.0.5) with ESMTP id A.1 envelope-from <"a> tls TLS_AES_256_GCM_SHA384 (b"@evil.example>` + date,
			"form=haraka | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTP | id=A.1 | tls=plain"},
		{"a name calls itself local",
			`from unknown (HELO [local]) (192.0.2.7) by mx.clinic.test with SMTP` + date,
			"form=qmail | helo=[local] | ip=192.0.2.7 | by=mx.clinic.test | with=SMTP"},
		{"a literal for a name is no address of the peer",
			`from [127.0.0.1] (helo) by mx.clinic.test (Some Server) with ESMTP id 7` + date,
			"form=other | helo=[127.0.0.1] | by=mx.clinic.test | with=ESMTP | id=7 | tls=plain"},
		{"nor is one that Exim was told",
			`from [192.0.2.7] (helo=[127.0.0.1]) by mx.clinic.test with esmtp (Exim 4.96) id 7` + date,
			"form=exim | helo=[127.0.0.1] | ip=192.0.2.7 | by=mx.clinic.test | with=esmtp | id=7 | tls=plain"},
		{"nor one in the name of the peer's address",
			`from x (a[127.0.0.1] [192.0.2.7]) by mx.clinic.test (Postfix) with ESMTP id 7` + date,
			"form=postfix | helo=x | name=a[127.0.0.1] | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTP | id=7 | tls=plain"},
		{"nor one in what ident said",
			`from x (a [127.0.0.1] @host.example [192.0.2.7]) by mx.clinic.test (8.17.1/8.17.1) with ESMTP id 7` + date,
			"form=sendmail | helo=x | name=host.example | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTP | id=7 | tls=plain"},
		{"nor one that the domain name system gave for a name",
			`from 127.0.0.1 ([192.0.2.7] helo=x) by mx.clinic.test with esmtp (Exim 4.96) id 7` + date,
			"form=exim | helo=x | ip=192.0.2.7 | by=mx.clinic.test | with=esmtp | id=7 | tls=plain"},
		{"a name wears qmail's session",
			`from unknown (HELO TLSv1.3 X encrypted) (192.0.2.7) by mx.clinic.test with SMTP` + date,
			"form=qmail | helo=TLSv1.3 X encrypted | ip=192.0.2.7 | by=mx.clinic.test | with=SMTP"},
		{"a name is a keyword",
			`from by (unknown [192.0.2.7]) by mx.clinic.test (Postfix) with ESMTP id 7` + date,
			"form=postfix | helo=by | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTP | id=7 | tls=plain"},
		{"a name opens a comment that never ends",
			`from mail(example (unknown [192.0.2.7]) by mx.clinic.test (Postfix) with ESMTP id 7` + date,
			"form=postfix | helo=mail(example | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTP | id=7 | tls=plain"},
		{"a quotation that never ends",
			`from "mail (unknown [192.0.2.7]) by mx.clinic.test (Postfix) with ESMTP id 7` + date,
			`form=postfix | helo="mail | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTP | id=7 | tls=plain`},
		{"a recipient with everything in it",
			`from mail.example.com (unknown [192.0.2.7]) by mx.clinic.test (Postfix) with ESMTP id 7 for <"a; tls X (version=Y cipher=Z) <"@clinic.test>` + date,
			`form=postfix | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTP | id=7 | for="a; tls X (version=Y cipher=Z) <"@clinic.test | tls=plain`},
		{"a certificate's name tells of a better session",
			`from mail.example.com (unknown [192.0.2.7]) (using TLSv1 with cipher AES128-SHA (128/128 bits)) (Client CN "x", Issuer "using TLSv1.3 with cipher Y (256/256 bits)" (not verified)) by mx.clinic.test (Postfix) with ESMTPS id 7` + date,
			`form=postfix | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPS | id=7 | tls=encrypted | version=TLSv1 | cipher=AES128-SHA | bits=128 | total=128 | client=presented, not verified | cn=x`},
		{"a NUL and an escape stay in the name",
			"from a\x00b\x1b[2J (unknown [192.0.2.7]) by mx.clinic.test (Postfix) with ESMTP id 7" + date,
			"form=postfix | helo=a\x00b\x1b[2J | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTP | id=7 | tls=plain"},
		{"TLS that does not encrypt",
			`from mail.example.com (unknown [192.0.2.7]) (using TLSv1.2 with cipher NULL-SHA256 (0/0 bits)) by mx.clinic.test (Postfix) with ESMTPS id 7` + date,
			"form=postfix | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPS | id=7 | tls=plain | version=TLSv1.2 | cipher=NULL-SHA256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := facts(Parse(tt.line)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestALineThatContradictsItselfProvesNothing(t *testing.T) {
	for _, line := range []string{
		`from mail.example.com ([192.0.2.7]) by mx.clinic.test (Postfix) with ESMTP id 7 (version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256); Tue, 1 Dec 2026 10:00:00 +0000`,
		`from mail.example.com ([192.0.2.7]) by mx.clinic.test with ESMTP id 7 tls TLS_AES_256_GCM_SHA384; Tue, 1 Dec 2026 10:00:00 +0000`,
	} {
		l := Parse(line)
		if l.TLS != Silent || l.Version+l.Cipher != "" || !strings.Contains(strings.Join(l.Notes, "\n"), "contradicts itself") {
			t.Errorf("%s\n%s %q", line, facts(l), l.Notes)
		}
	}
}

func TestAWordThatBreaksOutMakesTheLineDoubtful(t *testing.T) {
	report := Trace([]Field{{Value: `from x by evil.example with ESMTPS id 1 (unknown [192.0.2.7]) by mx.clinic.test (Some Server) with ESMTP id 7; Tue, 1 Dec 2026 10:00:00 +0000`},
		{Value: `from a by mx.clinic.test with ESMTPS; Tue, 1 Dec 2026 10:00:00 +0000`}}, Trust{})
	if h := report.Hops[1]; !h.Doubtful || h.State != Claimed {
		t.Errorf("doubtful %v, %v", h.Doubtful, h.State)
	}
	if report.Proven != 2 {
		t.Errorf("proven from %d", report.Proven)
	}
}

func TestMissingPartsAreSaid(t *testing.T) {
	for _, tt := range []struct{ line, note string }{
		{"", "the line does not say who wrote it"},
		{"from a by b", "no date that can be read"},
		{"from a by b with ESMTPS; Tue, 41 Dec 2026 10:00:00 +0000", "no date that can be read"},
		{"from a by b with SMTP; Tue, 1 Dec 2026 10:00:00 +0000", `"with SMTP" does not tell whether there was TLS`},
		{"from a by b with ESMTPS; Tue, 1 Dec 2026 10:00:00 +0000", "neither version nor cipher is given"},
		{"from a by b with ESMTPS (TLS1.0:ADH-AES256-SHA:256); Tue, 1 Dec 2026 10:00:00 +0000", "TLSv1 is obsolete"},
		{"from a by b with ESMTPS (TLS1.0:ADH-AES256-SHA:256); Tue, 1 Dec 2026 10:00:00 +0000", "the cipher proves nobody's identity to anybody"},
		{"from a by b with ESMTPS (TLS1.0:EXP-RC4-MD5:40); Tue, 1 Dec 2026 10:00:00 +0000", "the cipher's key is short enough to be found by trying"},
		{strings.Repeat("x", MaxLine+1), "the line is absurdly long; only its beginning was read"},
	} {
		if notes := Parse(tt.line).Notes; !strings.Contains(strings.Join(notes, "\n"), tt.note) {
			t.Errorf("%.80s: notes %q, want %q", tt.line, notes, tt.note)
		}
	}
}

// The work is linear: a quadratic one would take minutes here.
func TestHugeAndTwistedLinesAreReadInTime(t *testing.T) {
	begin := time.Now()
	for _, piece := range []string{"(", ")", "()", `"`, `\"`, `"\`, "<", "<\"", ";", "; 1", ",", "from ", "by (", "a:", "[", "]", "[]]", "(using ", " ", "\n", "\r", "\x00", "x", "helo=", "Received: (", "Received: \"\\\nx"} {
		text := "Received: " + strings.Repeat(piece, MaxText/4/len(piece))
		report := Trace(Extract([]byte(text)).Received, Trust{})
		if len(report.Hops) == 0 {
			t.Errorf("%q: no line", piece)
		}
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}

package received

import (
	"strings"
	"testing"
)

// sample is a line of one system in the field, names and numbers changed, and what it says about TLS.
type sample struct {
	system string
	line   string
	want   string // form, then what is said: plain, silent or encrypted, version, cipher
}

const on = "; Tue, 1 Dec 2026 10:00:00 +0000"

func samples() []sample {
	const peer = "from out.example.org (out.example.org [192.0.2.7]) "
	return []sample{
		{"Mimecast of old", peer + "(Using TLS) by relay.mimecast.com with ESMTP id uk-mta-1-AbC-1" + on, "mimecast encrypted"},
		{"Mimecast", peer + "by relay.mimecast.com with ESMTP with STARTTLS (version=TLSv1.3, cipher=TLS_AES_256_GCM_SHA384) id uk-mta-1-AbC-1" + on,
			"mimecast encrypted TLSv1.3 TLS_AES_256_GCM_SHA384"},
		{"Mimecast without TLS", peer + "by relay.mimecast.com with ESMTP id uk-mta-1-AbC-1" + on, "mimecast plain"},
		{"James", "from out.example.org (EHLO out.example.org) ([192.0.2.7])\n          (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\n          by mx.clinic.test (JAMES SMTP Server ) with ESMTPA ID f3184f40\n          for <dr@clinic.test>" + on,
			"james encrypted TLSv1.3 TLS_AES_256_GCM_SHA384"},
		{"James of today", "from out.example.org (EHLO out.example.org) ([192.0.2.7]) by mx.clinic.test (JAMES SMTP Server ) with ESMTPS ID 1" + on, "james encrypted"},
		{"James of old, whose keyword is the same with and without TLS", "from out.example.org (EHLO [IPV6:2001:db8::7]) ([2001:db8:0:0:0:0:0:7]) by mx.clinic.test (JAMES SMTP Server ) with ESMTPA ID 1411" + on, "james silent"},
		{"James 2", "from 192.0.2.7 ([192.0.2.7]) by mx.clinic.test (JAMES SMTP Server 2.3.2) with SMTP ID 798 for <dr@clinic.test>" + on, "james silent"},
		{"Yahoo", "from out.example.org (EHLO out.example.org) ([192.0.2.7]) by smtp4.mail.example.net (Example Inc. Hermes SMTP Server) with ESMTPA ID 65ab" + on, "qmail silent"},
		{"IronPort", "from unknown (HELO out.example.org) ([192.0.2.7])\n  by esa5.clinic.test with ESMTP/TLS/ECDHE-RSA-AES128-GCM-SHA256; 01 Dec 2026 10:00:00 -0000",
			"ironport encrypted ECDHE-RSA-AES128-GCM-SHA256"},
		{"IronPort that hides the cipher", "from esabb5.clinic.test ([192.0.2.7])  by esagw5.clinic.test with ESMTP/TLS; 01 Dec 2026 11:00:00 +0100", "ironport encrypted"},
		{"IronPort with TLS 1.3", "from unknown (HELO out.example.org) ([192.0.2.7]) by esa5.clinic.test with ESMTP/TLS/TLS_AES_256_GCM_SHA384; 01 Dec 2026 10:00:00 -0000",
			"ironport encrypted TLS_AES_256_GCM_SHA384"},
		{"IronPort without TLS", "from unknown (HELO out.example.org) ([192.0.2.7]) by esa5.clinic.test with ESMTP; 01 Dec 2026 10:00:00 -0000", "qmail plain"},
		{"MessageLabs", "from unknown (HELO out.example.org) (192.0.2.7)\n  by server-18.tower-2.messagelabs.com with ECDHE-RSA-AES256-GCM-SHA384 encrypted SMTP; 1 Dec 2026 10:00:00 -0000",
			"qmail encrypted ECDHE-RSA-AES256-GCM-SHA384"},
		{"MessageLabs without TLS", "from unknown (HELO out.example.org) (192.0.2.7) by server-18.tower-2.messagelabs.com with SMTP; 1 Dec 2026 10:00:00 -0000", "qmail silent"},
		{"Postini", "from source ([192.0.2.7]) (using TLSv1) by exprod5mx3.clinic.test" + on, "postfix-like encrypted TLSv1"},
		{"Barracuda", "from out.example.org (out.example.org [192.0.2.7]) by spam.clinic.test with ESMTP id aBc12 (version=TLSv1.2 cipher=ECDHE-RSA-AES256-GCM-SHA384 bits=256 verify=NO) for <dr@clinic.test>" + on,
			"other encrypted TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384"},
		{"FortiMail", peer + "by fml.clinic.test with ESMTP id 2BI73F8b-2BI73F8c (version=TLSv1.2 cipher=ECDHE-RSA-AES256-GCM-SHA384 bits=256 verify=NOT)" + on,
			"other encrypted TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384"},
		{"Sendmail of large houses, whose keyword never has an S", peer + "by relay3.clinic.test (8.14.9/8.14.9/NCO v10.0) with ESMTP id 65GC\n\t(version=TLSv1/SSLv3 cipher=DHE-RSA-AES256-GCM-SHA384 bits=256 verify=OK)" + on,
			"sendmail encrypted TLSv1/SSLv3 DHE-RSA-AES256-GCM-SHA384"},
		{"Proofpoint", peer + "by m0089730.clinic.test (PPS) with ESMTPS id 3spb6jssgd-7\n\t(version=TLSv1.2 cipher=ECDHE-RSA-AES128-GCM-SHA256 bits=128 verify=NOT)" + on,
			"sendmail encrypted TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256"},
		{"Proofpoint's filter", "from pps.filterd (m1.clinic.test [127.0.0.1]) by m1.clinic.test (8.18.1.11/8.18.1.11) with ESMTP id 666" + on, "sendmail plain"},
		{"CommuniGate", "from [192.0.2.7] (HELO out.example.org)\n  by mx.clinic.test (CommuniGate Pro SMTP 7.1.1)\n  with ESMTPS id 12767503" + on, "communigate encrypted"},
		{"CommuniGate without TLS", "from [192.0.2.7] (account a@example.org HELO out.example.org) by mx.clinic.test (CommuniGate Pro SMTP 5.0.9) with ESMTPA id 36 for b@clinic.test" + on, "communigate plain"},
		{"Kerio", "from out.example.org ([192.0.2.7])\n (authenticated user a@example.org)\n by mx.clinic.test (Kerio Connect 9.2.12 patch 1) with ESMTPSA\n (using TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256 bits))" + on,
			"other encrypted TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384"},
		{"Kerio without TLS", "from out.example.org ([192.0.2.7]) by mx.clinic.test (Kerio Connect 10.0.8 patch 2) with ESMTP" + on, "other plain"},
		{"MDaemon of old", "from out.example.org by mx.clinic.test (Cipher TLSv1:RC4-MD5:128) (MDaemon PRO v10.1.1)\n\twith ESMTP id md5.msg for <dr@clinic.test>" + on,
			"other encrypted TLSv1 RC4-MD5"},
		{"MDaemon", "from [IPv6:2001:db8::7] by mx.clinic.test (IPv6:2001:db8::1) (MDaemon PRO v21.5.1)\n with ESMTPSA id md5.msg" + on, "other encrypted"},
		{"Domino, whose keyword has no S", "from out.example.org ([192.0.2.7])\n by mx.clinic.test (Lotus Domino Release 8.5.3FP6)\n with ESMTP id 2026120110000000-1 " + on, "other silent"},
		{"SendGrid, whose keyword has no S", "from app.example.org (unknown)\n\tby geopod-ismtpd-2 (SG) with ESMTP\n\tid SbsXXKDTRb\n\tTue, 01 Dec 2026 10:00:00.029 +0000 (UTC)", "other silent"},
		{"Amazon SES", peer + "by email-smtp.eu-west-1.clinic.test with SMTP (SimpleEmailService-d-ABC) id XyZ for dr@clinic.test" + on, "other silent"},
		{"GMX", "from out.example.org ([192.0.2.7]) by mx.clinic.test\n (mxeue009 [198.51.100.1]) with ESMTPS (Nemesis) id 1Ml5Rc-1lbqtm34yi-00lUqM\n for <dr@clinic.test>" + on, "other encrypted"},
		{"Halon", "from out.example.org (unknown [192.0.2.7])\n by mx.clinic.test (Halon) with ESMTPS\n id 8e0f34d4-37ae-11ea-a985-bc764e2007e4" + on, "other encrypted"},
		{"Strato", "from sender by smtp.clinic.test (RZmta 47.27.2 AUTH)\n with ESMTPSA id j0415b\n (using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))\n (Client did not present a certificate)" + on,
			"other encrypted TLSv1.3 TLS_AES_256_GCM_SHA384"},
		{"Zoho", "from out.example.org (192.0.2.7 [192.0.2.7]) by mx.clinic.test\n with SMTPS id 1548854122327747.39" + on, "other encrypted"},
		{"Gmail between its customers", "from mail-sor-f65.google.com (mail-sor-f65.google.com. [209.85.220.65])\n by mx.google.com with SMTPS id p126\n for <dr@clinic.test>\n (Google Transport Security)" + on, "gmail encrypted"},
		{"Gmail of 2010", "from out.example.org ( [192.0.2.7]) by mx.google.com with ESMTPS id 12sm (version=TLSv1/SSLv3 cipher=RC4-MD5)" + on, "gmail encrypted TLSv1/SSLv3 RC4-MD5"},
		{"Exchange Online, id first", "from AM0.eop-EUR02.prod.protection.outlook.com (2603:10a6::99) by AM0.outlook.office365.com (2603:10a6::10) with Microsoft SMTP Server id 15.20.8293.16 (version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) via Frontend Transport" + on,
			"exchange encrypted TLSv1.2 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
		{"qpsmtpd", "from out.example.org (HELO out.example.org) (192.0.2.7)\n by mx.clinic.test (qpsmtpd/0.40) with (AES128-SHA encrypted) SMTP" + on, "qmail encrypted AES128-SHA"},
		{"qpsmtpd without TLS", "from Unknown (HELO out.example.org) (192.0.2.7) by mx.clinic.test (qpsmtpd/0.94) with ESMTP" + on, "qmail plain"},
		{"Exim of old, whose keyword has no S", "from [192.0.2.7] (helo=out.example.org)\n by mx.clinic.test with esmtp (TLSv1:AES256-SHA:256)\n (Exim 4.43)\n id 1EkawZ-0002jO-37" + on,
			"exim encrypted TLSv1 AES256-SHA"},
		{"Exim with the recipient first", "from out.example.org ([192.0.2.7])\n by mx.clinic.test (Exim 4.97)\n for dr@clinic.test with esmtps (TLS1.3)\n tls TLS_AES_256_GCM_SHA384\n (envelope-from <a@example.org>)\n id 1rwJVQ" + on,
			"exim encrypted TLSv1.3 TLS_AES_256_GCM_SHA384"},
		{"Maddy, the sender first", "from out.example.org (out.example.org [192.0.2.7]) by mx.clinic.test (envelope-sender <a@example.org>) with UTF8ESMTPS id 1a2b" + on, "other encrypted"},
		{"hMailServer", "from out.example.org (Unknown [192.0.2.7])\n by mx.clinic.test with ESMTPSA\n (version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256)\n ; Tue, 1 Dec 2026 10:00:00 +0000",
			"other encrypted TLSv1.3 TLS_AES_256_GCM_SHA384"},
		{"a session behind the date", "from out.example.org (localhost [192.0.2.7])\n by mx.clinic.test with ESMTP id 7ZEO\n for <dr@clinic.test>" + on + "\n(version=TLSv1.2 cipher=ECDHE-RSA-AES256-GCM-SHA384 bits=256)",
			"other encrypted TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384"},
		{"Sophos, Trend: Postfix by another name", "from out.example.org (out.example.org [192.0.2.7]) (using TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits)) by IMSVA (Postfix) with ESMTP id 6000" + on,
			"postfix encrypted TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384"},
		{"Active!gate without TLS", "from out.example.org (unknown [192.0.2.7]) (envelope sender: <a@example.org>)\n\t(not using TLS) by gate.clinic.test (Active!gate) with ESMTP id bPLQ" + on, "other plain"},
		{"a keyword with S and a denial", peer + "by mx.clinic.test with ESMTPS id 1 (no encryption)" + on, "other silent"},
		{"a session and a denial", peer + "(Using TLS) by mx.clinic.test (without TLS) with ESMTP id 1" + on, "other silent"},
		{"an exact writer's session beside its plain keyword", peer + "by mx.clinic.test (Postfix) with ESMTP id 1 (version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256)" + on, "postfix silent"},
		{"two keywords", peer + "by mx.clinic.test with ESMTP id 1 with ESMTPS" + on, "other silent"},
	}
}

func said(l Line) string {
	out := []string{string(l.Form), [...]string{"silent", "plain", "encrypted"}[l.TLS]}
	if l.Version != "" {
		out = append(out, l.Version)
	}
	if l.Cipher != "" {
		out = append(out, l.Cipher)
	}
	return strings.Join(out, " ")
}

func TestTheSystemsOfTheFieldAreHeard(t *testing.T) {
	for _, tt := range samples() {
		t.Run(tt.system, func(t *testing.T) {
			l := Parse(tt.line)
			if got := said(l); got != tt.want {
				t.Errorf("got %s, want %s: %q", got, tt.want, l.Notes)
			}
			if l.Date.IsZero() || l.Doubtful && tt.system != "two keywords" {
				t.Errorf("date %v, doubtful %v: %q", l.Date, l.Doubtful, l.Notes)
			}
		})
	}
}

// tlsWords are ways to speak of a TLS session, most of which nobody writes yet.
var tlsWords = []string{"TLS", "tls", "TLSv1.3", "TLS1_2", "SSLv3", "STARTTLS", "ESMTPS", "UTF8SMTPS", "smtps", "cipher=X", "cipher AES256-SHA",
	"TLS_AES_128_GCM_SHA256", "ECDHE-RSA-CHACHA20-POLY1305", "AES128-GCM-SHA256", "ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM", "encrypted",
	"session was encrypted by SSL", "proto=TLSv1.2", "secured with TLS,", "TLS.", "[TLSv1.2]", "channel=TLS?", "No client certificate requested"}

// A line that speaks of TLS in any place of its writer's is never called plain.
func TestALineThatSpeaksOfTLSIsNeverPlain(t *testing.T) {
	for _, w := range tlsWords {
		for _, line := range []string{
			"from a.example ([192.0.2.7]) (" + w + ") by mx.clinic.test with ESMTP id 7",
			"from a.example ([192.0.2.7] " + w + ") by mx.clinic.test with ESMTP id 7",
			"from a.example ([192.0.2.7]) by mx.clinic.test (" + w + ") with ESMTP id 7",
			"from a.example ([192.0.2.7]) by mx.clinic.test with ESMTP (" + w + ") id 7",
			"from a.example ([192.0.2.7]) by mx.clinic.test with ESMTP " + w + " id 7",
			"from a.example ([192.0.2.7]) by mx.clinic.test with Microsoft SMTP Server (" + w + ") id 7",
			"from a.example ([192.0.2.7]) by mx.clinic.test with Microsoft SMTP Server id 7 (" + w + ")",
			"from a.example ([192.0.2.7]) by mx.clinic.test with ESMTP id 7 (" + w + ")",
			"from a.example ([192.0.2.7]) by mx.clinic.test with ESMTP id 7 " + w,
			"from a.example ([192.0.2.7]) by mx.clinic.test with ESMTP id 7 for <dr@clinic.test> (" + w + ")",
			"from a.example ([192.0.2.7]) by mx.clinic.test (Postfix) with ESMTP id 7 (" + w + ")",
			"from a.example (a.example [192.0.2.7]) (" + w + ") by mx.clinic.test (8.17.1/8.17.1) with ESMTP id 7",
			"from a.example ([192.0.2.7]) by mx.clinic.test with esmtp (" + w + ") (Exim 4.96) (envelope-from <a@example.org>) id 1p0",
			"from a.example ([192.0.2.7]) by mx.clinic.test with esmtp (Exim 4.96) (envelope-from <a@example.org>) (" + w + ") id 1p0",
			"from unknown (HELO a.example) (192.0.2.7) (" + w + ") by mx.clinic.test with ESMTP",
		} {
			for _, whole := range []string{line + on, strings.ToUpper(line) + on} {
				if l := Parse(whole); l.TLS == Plain {
					t.Errorf("plain: %s", whole)
				}
			}
		}
		if whole := "from a.example ([192.0.2.7]) by mx.clinic.test with ESMTP id 7" + on + " (" + w + ")"; Parse(whole).TLS == Plain {
			t.Errorf("plain: %s", whole)
		}
	}
}

// Names that peers chose are not the writer's words: they make a line neither encrypted nor doubtful.
func TestNamesThatLookLikeTLSSayNothing(t *testing.T) {
	for _, name := range []string{"tls", "TLS", "tls.example.com", "ssl-mail.example.com", "starttls.example.com", "aes256-sha", "esmtps"} {
		for _, line := range []string{
			"from " + name + " (" + name + " [192.0.2.7]) by mx.clinic.test (Postfix) with ESMTP id 7",
			"from " + name + " (" + name + " [192.0.2.7]) by mx.clinic.test with ESMTP id 7 for <" + name + "@clinic.test>",
			"from unknown (HELO " + name + ") (" + name + "@192.0.2.7) by mx.clinic.test with ESMTP",
			"from a.example ([192.0.2.7] helo=" + name + ") by mx.clinic.test with esmtp (Exim 4.96) (envelope-from <" + name + "@example.org>) id 7",
			"from unknown (HELO Using TLS) ([192.0.2.7]) by esa.clinic.test with ESMTP",
			`from a.example ([192.0.2.7]) by mx.clinic.test (envelope-sender <"x) with ESMTPS (y"@evil.example>) with ESMTP id 7`,
			`from a.example ([192.0.2.7]) by mx.clinic.test with ESMTP (envelope-from <"x) TLS (` + name + `"@evil.example>) id 7`,
		} {
			l := Parse(line + on)
			if l.TLS == Encrypted || l.Version+l.Cipher != "" || l.TLS != Plain && !strings.Contains(line, "envelope-sender") {
				t.Errorf("%s: %s", said(l), line)
			}
		}
	}
}

package received

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// facts prints what a line says, only what it says, in one order.
func facts(l Line) string {
	var out []string
	add := func(key string, value any) {
		if s := fmt.Sprint(value); s != "" && s != "0" && s != "invalid IP" && s != "false" {
			out = append(out, key+"="+s)
		}
	}
	add("form", l.Form)
	add("helo", l.Helo)
	add("name", l.Name)
	add("ip", l.IP)
	add("by", l.By)
	add("byip", l.ByIP)
	add("with", l.With)
	add("id", l.ID)
	add("for", l.For)
	add("tls", [...]string{"", "plain", "encrypted"}[l.TLS])
	add("version", l.Version)
	add("cipher", l.Cipher)
	add("bits", l.Bits)
	add("total", l.BitsTotal)
	add("group", l.Group)
	add("sig", l.Signature)
	add("client", l.Client)
	add("cn", l.ClientCN)
	add("inside", l.Inside)
	add("samehost", l.SameHost)
	return strings.Join(out, " | ")
}

// tenOClock is the date of the lines below that have an ordinary one.
var tenOClock = time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)

type formCase struct {
	name string
	line string
	want string
}

func formCases() []formCase {
	return []formCase{
		{"postfix with TLS 1.3", `from mail.example.com (mail.example.com [192.0.2.7])
	(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)
	 key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256)
	(No client certificate requested)
	by mx.clinic.test (Postfix) with ESMTPS id 4TQxYz1bCdz9sQr
	for <dr@clinic.test>; Tue,  1 Dec 2026 10:00:00 +0000 (UTC)`,
			"form=postfix | helo=mail.example.com | name=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPS | id=4TQxYz1bCdz9sQr | for=dr@clinic.test | tls=encrypted | version=TLSv1.3 | cipher=TLS_AES_256_GCM_SHA384 | bits=256 | total=256 | group=X25519 | sig=RSA-PSS | client=not requested"},
		{"postfix with a group in parentheses and a client that was not verified", `from mail.example.com (unknown [IPv6:2001:db8::7])
	(using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits)
	 key-exchange ECDHE (P-256) server-signature ECDSA (P-256) server-digest SHA256
	 client-signature RSA-PSS (2048 bits) client-digest SHA256)
	(Client CN "mail.example.com", Issuer "Example CA (2)" (not verified))
	by mx.clinic.test (Postfix) with ESMTPS id 4TQxYz1bCdz9sQr;
	Tue,  1 Dec 2026 11:00:00 +0100 (CET)`,
			"form=postfix | helo=mail.example.com | ip=2001:db8::7 | by=mx.clinic.test | with=ESMTPS | id=4TQxYz1bCdz9sQr | tls=encrypted | version=TLSv1.3 | cipher=TLS_AES_128_GCM_SHA256 | bits=128 | total=128 | group=P-256 | sig=ECDSA | client=presented, not verified | cn=mail.example.com"},
		{"postfix of the years of TLS 1.0", `from mail.example.com (mail.example.com [192.0.2.7])
	(using TLSv1 with cipher EDH-RSA-DES-CBC3-SHA (168/168 bits))
	(Client CN "mail.example.com", Issuer "Example CA" (verified OK))
	by mx.clinic.test (Postfix) with ESMTP id 0123456789
	for <dr@clinic.test>; Tue,  1 Dec 2026 10:00:00 GMT`,
			"form=postfix | helo=mail.example.com | name=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTP | id=0123456789 | for=dr@clinic.test | tls=encrypted | version=TLSv1 | cipher=EDH-RSA-DES-CBC3-SHA | bits=168 | total=168 | client=verified | cn=mail.example.com"},
		{"postfix with DHE and no client certificate presented", `from mail.example.com (mail.example.com [192.0.2.7])
	(using TLSv1.2 with cipher DHE-RSA-AES256-GCM-SHA384 (256/256 bits)
	 key-exchange DHE (2048 bits) server-signature RSA-PKCS1 (2048 bits))
	(Client did not present a certificate)
	by mx.clinic.test (Postfix/Debian) with ESMTPSA id AB12; Tue, 1 Dec 2026 02:00:00 -0800 (PST)`,
			"form=postfix | helo=mail.example.com | name=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPSA | id=AB12 | tls=encrypted | version=TLSv1.2 | cipher=DHE-RSA-AES256-GCM-SHA384 | bits=256 | total=256 | group=DHE 2048 bits | sig=RSA-PKCS1 | client=requested, none presented"},
		{"postfix without TLS", `from mail.example.com (unknown [192.0.2.7])
	by mx.clinic.test (Postfix) with ESMTP id 4TQ; Tue, 1 Dec 2026 10:00:00 +0000`,
			"form=postfix | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTP | id=4TQ | tls=plain"},
		{"postfix that keeps its TLS header to itself", `from mail.example.com (mail.example.com [192.0.2.7])
	by mx.clinic.test (Postfix) with UTF8SMTPS id 4TQ; Tue, 1 Dec 2026 10:00:00 +0000`,
			"form=postfix | helo=mail.example.com | name=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=UTF8SMTPS | id=4TQ | tls=encrypted"},
		{"postfix by the sendmail command", `by mx.clinic.test (Postfix, from userid 1000)
	id 4TQ; Tue,  1 Dec 2026 10:00:00 +0000 (UTC)`,
			"form=postfix | by=mx.clinic.test | id=4TQ | inside=true | samehost=true"},
		{"postfix behind a filter on the same host", `from localhost (localhost [127.0.0.1])
	by mx.clinic.test (Postfix) with ESMTP id 4TQ
	for <dr@clinic.test>; Tue, 1 Dec 2026 10:00:00 +0000`,
			"form=postfix | helo=localhost | name=localhost | ip=127.0.0.1 | by=mx.clinic.test | with=ESMTP | id=4TQ | for=dr@clinic.test | tls=plain | inside=true | samehost=true"},
		{"postfix under another name", `from mail.example.com (mail.example.com [192.0.2.7])
	(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))
	by mx.clinic.test (Clinic Mail) with ESMTPS id 4TQ; Tue, 1 Dec 2026 10:00:00 +0000`,
			"form=postfix-like | helo=mail.example.com | name=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPS | id=4TQ | tls=encrypted | version=TLSv1.3 | cipher=TLS_AES_256_GCM_SHA384 | bits=256 | total=256"},
		{"dovecot hands mail to the mailbox", `from mx.clinic.test
	by mx.clinic.test with LMTP
	id AbCdEf12ZmUhAAA
	(envelope-from <a@example.com>)
	for <dr@clinic.test>; Tue, 01 Dec 2026 10:00:00 +0000`,
			"form=other | helo=mx.clinic.test | by=mx.clinic.test | with=LMTP | id=AbCdEf12ZmUhAAA | for=dr@clinic.test | tls=plain | inside=true | samehost=true"},

		{"exim 4.96 with TLS 1.3", `from mail.example.com ([192.0.2.7])
	by mx.clinic.test with esmtps  (TLS1.3) tls TLS_AES_256_GCM_SHA384
	(Exim 4.96)
	(envelope-from <a@example.com>)
	id 1p0Abc-0001Xy-2Z
	for dr@clinic.test;
	Tue, 01 Dec 2026 10:00:00 +0000`,
			"form=exim | helo=mail.example.com | name=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=esmtps | id=1p0Abc-0001Xy-2Z | for=dr@clinic.test | tls=encrypted | version=TLSv1.3 | cipher=TLS_AES_256_GCM_SHA384"},
		{"exim with OpenSSL, a helo of its own and a port", `from host7.example.com ([192.0.2.7]:41234 helo=mail.example.com)
	by mx.clinic.test with esmtpsa (TLSv1.2:ECDHE-RSA-AES256-GCM-SHA384:256)
	(Exim 4.89)
	(envelope-from <a@example.com>)
	id 1p0Abc-0001Xy-2Z; Tue, 01 Dec 2026 10:00:00 +0000`,
			"form=exim | helo=mail.example.com | name=host7.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=esmtpsa | id=1p0Abc-0001Xy-2Z | tls=encrypted | version=TLSv1.2 | cipher=ECDHE-RSA-AES256-GCM-SHA384 | bits=256"},
		{"exim with GnuTLS and no name for the address", `from [2001:db8::7] (port=41234 helo=mail.example.com)
	by mx.clinic.test with esmtps (TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256)
	(Exim 4.92)
	(envelope-from <a@example.com>)
	id 1p0Abc-0001Xy-2Z
	for dr@clinic.test; Tue, 01 Dec 2026 10:00:00 +0000`,
			"form=exim | helo=mail.example.com | ip=2001:db8::7 | by=mx.clinic.test | with=esmtps | id=1p0Abc-0001Xy-2Z | for=dr@clinic.test | tls=encrypted | version=TLSv1.3 | cipher=ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM | bits=256 | group=X25519"},
		{"exim without TLS", `from [192.0.2.7] (helo=mail.example.com)
	by mx.clinic.test with esmtp (Exim 4.96)
	(envelope-from <a@example.com>)
	id 1p0Abc-0001Xy-2Z; Tue, 01 Dec 2026 10:00:00 +0000`,
			"form=exim | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=esmtp | id=1p0Abc-0001Xy-2Z | tls=plain"},
		{"exim from a local user", `from www-data by web.example.com with local (Exim 4.96)
	(envelope-from <www-data@web.example.com>)
	id 1p0Abc-0001Xy-2Z
	for dr@clinic.test; Tue, 01 Dec 2026 10:00:00 +0000`,
			"form=exim | helo=www-data | by=web.example.com | with=local | id=1p0Abc-0001Xy-2Z | for=dr@clinic.test | inside=true | samehost=true"},

		{"exchange online", `from AM0EUR02FT010.eop-EUR02.prod.protection.outlook.com
 (2603:10a6:20b:2c:cafe::99) by AM0PR0102CA0012.outlook.office365.com
 (2603:10a6:20b:2c::10) with Microsoft SMTP Server (version=TLS1_3,
 cipher=TLS_AES_256_GCM_SHA384) id 15.20.8293.16 via Frontend Transport; Tue,
 1 Dec 2026 10:00:00 +0000`,
			"form=exchange | helo=AM0EUR02FT010.eop-EUR02.prod.protection.outlook.com | ip=2603:10a6:20b:2c:cafe::99 | by=AM0PR0102CA0012.outlook.office365.com | byip=2603:10a6:20b:2c::10 | with=Microsoft SMTP Server | id=15.20.8293.16 | tls=encrypted | version=TLSv1.3 | cipher=TLS_AES_256_GCM_SHA384"},
		{"exchange on the premises, with the curve in the cipher", `from EX2.corp.example.com (10.1.2.4) by EX1.corp.example.com
 (10.1.2.3) with Microsoft SMTP Server (version=TLS1_2,
 cipher=TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384_P256) id 15.1.2507.39; Tue, 1 Dec
 2026 11:00:00 +0100`,
			"form=exchange | helo=EX2.corp.example.com | ip=10.1.2.4 | by=EX1.corp.example.com | byip=10.1.2.3 | with=Microsoft SMTP Server | id=15.1.2507.39 | tls=encrypted | version=TLSv1.2 | cipher=TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384_P256"},
		{"exchange 2010 says TLS and no more", `from EX2.corp.example.com ([fe80::1:2:3%12]) by EX1.corp.example.com ([::1]) with Microsoft SMTP Server (TLS) id 14.03.0123.003; Tue, 1 Dec 2026 10:00:00 +0000`,
			"form=exchange | helo=EX2.corp.example.com | ip=fe80::1:2:3 | by=EX1.corp.example.com | byip=::1 | with=Microsoft SMTP Server | id=14.03.0123.003 | tls=encrypted"},
		{"exchange without TLS", `from scanner.corp.example.com (10.1.2.9) by EX1.corp.example.com (10.1.2.3) with Microsoft SMTP Server id 15.1.2507.39 via Frontend Transport; Tue, 1 Dec 2026 10:00:00 +0000`,
			"form=exchange | helo=scanner.corp.example.com | ip=10.1.2.9 | by=EX1.corp.example.com | byip=10.1.2.3 | with=Microsoft SMTP Server | id=15.1.2507.39 | tls=plain"},
		{"exchange from its own mailbox", `from DB9PR01MB1234.eurprd01.prod.exchangelabs.com
 ([fe80::a1b2:c3d4:1:2]) by DB9PR01MB1234.eurprd01.prod.exchangelabs.com
 ([fe80::a1b2:c3d4:1:2%4]) with mapi id 15.20.8293.016; Tue, 1 Dec 2026
 10:00:00 +0000`,
			"form=exchange | helo=DB9PR01MB1234.eurprd01.prod.exchangelabs.com | ip=fe80::a1b2:c3d4:1:2 | by=DB9PR01MB1234.eurprd01.prod.exchangelabs.com | byip=fe80::a1b2:c3d4:1:2 | with=mapi | id=15.20.8293.016 | inside=true | samehost=true"},
		{"exchange online, the last step", `from DB9PR01MB1234.eurprd01.prod.exchangelabs.com (2603:10a6:10:1::1)
 by AM0PR01MB5678.eurprd01.prod.exchangelabs.com with HTTPS; Tue, 1 Dec 2026
 10:00:00 +0000`,
			"form=exchange | helo=DB9PR01MB1234.eurprd01.prod.exchangelabs.com | ip=2603:10a6:10:1::1 | by=AM0PR01MB5678.eurprd01.prod.exchangelabs.com | with=HTTPS | tls=encrypted"},
		{"the SMTP service of Windows tells nothing", `from app7 ([10.1.2.9]) by relay.corp.example.com with Microsoft SMTPSVC(10.0.17763.1697); Tue, 1 Dec 2026 11:00:00 +0100`,
			"form=exchange | helo=app7 | ip=10.1.2.9 | by=relay.corp.example.com | with=Microsoft SMTPSVC"},

		{"gmail's border", `from mail.example.com (mail.example.com. [192.0.2.7])
        by mx.google.com with ESMTPS id a1-20020a05600c0a0100b003d1ab2c3d4esi1234567wmp.12.2026.12.01.02.00.00
        for <someone@example.net>
        (version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384 bits=256/256);
        Tue, 01 Dec 2026 02:00:00 -0800 (PST)`,
			"form=gmail | helo=mail.example.com | name=mail.example.com | ip=192.0.2.7 | by=mx.google.com | with=ESMTPS | id=a1-20020a05600c0a0100b003d1ab2c3d4esi1234567wmp.12.2026.12.01.02.00.00 | for=someone@example.net | tls=encrypted | version=TLSv1.3 | cipher=TLS_AES_256_GCM_SHA384 | bits=256 | total=256"},
		{"gmail's inside", `by 2002:a05:6402:1234:b0:45c:db47:1b2c with SMTP id x20csp123456edq;
        Tue, 1 Dec 2026 02:00:00 -0800 (PST)`,
			"form=gmail | by=2002:a05:6402:1234:b0:45c:db47:1b2c | byip=2002:a05:6402:1234:b0:45c:db47:1b2c | with=SMTP | id=x20csp123456edq | inside=true"},
		{"gmail takes a submission from a literal", `from [192.168.7.20] (dsl-7.example.org. [198.51.100.7])
        by smtp.gmail.com with ESMTPSA id b8-20020a170906d10800b00a5a
        for <someone@example.net>
        (version=TLS1_3 cipher=TLS_AES_128_GCM_SHA256 bits=128/128);
        Tue, 01 Dec 2026 02:00:00 -0800 (PST)`,
			"form=gmail | helo=[192.168.7.20] | name=dsl-7.example.org | ip=198.51.100.7 | by=smtp.gmail.com | with=ESMTPSA | id=b8-20020a170906d10800b00a5a | for=someone@example.net | tls=encrypted | version=TLSv1.3 | cipher=TLS_AES_128_GCM_SHA256 | bits=128 | total=128"},
		{"gmail hands on by an interface", `from 123456789012 named unknown by gmailapi.google.com with HTTPREST; Tue, 1 Dec 2026 10:00:00 +0000`,
			"form=gmail | helo=123456789012 | by=gmailapi.google.com | with=HTTPREST"},

		{"sendmail", `from mail.example.com (mail.example.com [192.0.2.7])
	by mx.clinic.test (8.17.1/8.17.1/Debian-2) with ESMTPS id 2BI73F8b148936
	(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256 verify=NO)
	for <dr@clinic.test>; Tue, 1 Dec 2026 10:00:00 GMT`,
			"form=sendmail | helo=mail.example.com | name=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPS | id=2BI73F8b148936 | for=dr@clinic.test | tls=encrypted | version=TLSv1.3 | cipher=TLS_AES_256_GCM_SHA384 | bits=256 | client=requested, none presented"},
		{"sendmail that was shown a good certificate", `from mail.example.com (ident7@mail.example.com [192.0.2.7] (may be forged))
	by mx.clinic.test (8.15.2/8.15.2) with ESMTPS id 2BI
	(version=TLSv1.2 cipher=ECDHE-RSA-AES256-GCM-SHA384 bits=256 verify=OK)
	for <dr@clinic.test>; Tue, 1 Dec 2026 10:00:00 GMT`,
			"form=sendmail | helo=mail.example.com | name=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPS | id=2BI | for=dr@clinic.test | tls=encrypted | version=TLSv1.2 | cipher=ECDHE-RSA-AES256-GCM-SHA384 | bits=256 | client=verified"},
		{"sendmail without TLS", `from mail.example.com ([192.0.2.7]) by mx.clinic.test (8.14.4/8.14.4) with ESMTP id 2BI for <dr@clinic.test>; Tue, 1 Dec 2026 10:00:00 GMT`,
			"form=sendmail | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTP | id=2BI | for=dr@clinic.test | tls=plain"},
		{"sendmail by its command", `(from root@localhost) by web.example.com (8.17.1/8.17.1/Submit) id 2BI; Tue, 1 Dec 2026 10:00:00 GMT`,
			"form=sendmail | by=web.example.com | id=2BI | inside=true | samehost=true"},

		{"qmail", `from unknown (HELO mail.example.com) (192.0.2.7)
  by mx.clinic.test with SMTP; 1 Dec 2026 10:00:00 -0000`,
			"form=qmail | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=SMTP"},
		{"qmail's queue", `(qmail 12345 invoked from network); 1 Dec 2026 10:00:00 -0000`,
			"form=qmail | inside=true | samehost=true"},
		{"qmail's queue, by a user", `(qmail 12345 invoked by uid 89); 1 Dec 2026 10:00:00 -0000`,
			"form=qmail | inside=true | samehost=true"},
		{"netqmail with the TLS patch", `from host7.example.com (HELO mail.example.com) (someone@192.0.2.7)
  by mx.clinic.test with (DHE-RSA-AES256-SHA encrypted) SMTP; 1 Dec 2026 10:00:00 -0000`,
			"form=qmail | helo=mail.example.com | name=host7.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=SMTP | tls=encrypted | cipher=DHE-RSA-AES256-SHA"},
		{"a later TLS patch writes the version and the keyword", `from unknown (HELO mail.example.com) (192.0.2.7)
  by mx.clinic.test with (TLSv1.3 TLS_AES_256_GCM_SHA384 encrypted) ESMTPS; 1 Dec 2026 10:00:00 -0000`,
			"form=qmail | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPS | tls=encrypted | version=TLSv1.3 | cipher=TLS_AES_256_GCM_SHA384"},
		{"another writes the keyword first, and hides its own users", ` (HELO laptop) (someone@example.com)
  by mx.clinic.test with ESMTPSA (TLS_AES_256_GCM_SHA384 encrypted, authenticated); 1 Dec 2026 10:00:00 -0000`,
			"form=qmail | helo=laptop | by=mx.clinic.test | with=ESMTPSA | tls=encrypted | cipher=TLS_AES_256_GCM_SHA384"},
		{"s/qmail", `from unknown (HELO mail.example.com) (192.0.2.7)
  de-/crypted with TLSv1.3: TLS_AES_256_GCM_SHA384 [256/256] DN=none
  by mx.clinic.test with ESMTPS; 1 Dec 2026 10:00:00 -0000`,
			"form=qmail | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPS | tls=encrypted | version=TLSv1.3 | cipher=TLS_AES_256_GCM_SHA384 | bits=256 | total=256"},
		{"s/qmail with the session in a comment", `from unknown (HELO mail.example.com) (192.0.2.7) (de-/crypted with TLSv1.2: ECDHE-RSA-AES256-GCM-SHA384 [256/256] DN=unknown)
  by mx.clinic.test with ESMTPS; 1 Dec 2026 10:00:00 -0000`,
			"form=qmail | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPS | tls=encrypted | version=TLSv1.2 | cipher=ECDHE-RSA-AES256-GCM-SHA384 | bits=256 | total=256"},

		{"opensmtpd", `from mail.example.com (mail.example.com [192.0.2.7])
	by mx.clinic.test (OpenSMTPD) with ESMTPS id 1a2b3c4d (TLSv1.3:AEAD-AES256-GCM-SHA384:256:NO)
	for <dr@clinic.test>;
	Tue, 1 Dec 2026 10:00:00 +0000 (UTC)`,
			"form=opensmtpd | helo=mail.example.com | name=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPS | id=1a2b3c4d | for=dr@clinic.test | tls=encrypted | version=TLSv1.3 | cipher=AEAD-AES256-GCM-SHA384 | bits=256"},
		{"opensmtpd that verified the client, over IPv6", `from mail.example.com (<unknown> [2001:db8::7])
	by mx.clinic.test (OpenSMTPD) with ESMTPSA id 1a2b3c4d (TLSv1.2:ECDHE-RSA-AES256-GCM-SHA384:256:YES) auth=yes user=someone
	for <dr@clinic.test>;
	Tue, 1 Dec 2026 10:00:00 +0000 (UTC)`,
			"form=opensmtpd | helo=mail.example.com | ip=2001:db8::7 | by=mx.clinic.test | with=ESMTPSA | id=1a2b3c4d | for=dr@clinic.test | tls=encrypted | version=TLSv1.2 | cipher=ECDHE-RSA-AES256-GCM-SHA384 | bits=256 | client=verified"},
		{"opensmtpd from its own host", `from localhost (mx.clinic.test [local])
	by mx.clinic.test (OpenSMTPD) with ESMTPA id 1a2b3c4d
	for <dr@clinic.test>;
	Tue, 1 Dec 2026 10:00:00 +0000 (UTC)`,
			"form=opensmtpd | helo=localhost | by=mx.clinic.test | with=ESMTPA | id=1a2b3c4d | for=dr@clinic.test | tls=plain | inside=true | samehost=true"},
		{"opensmtpd of old", `from mail.example.com (mail.example.com [192.0.2.7])
	by mx.clinic.test (OpenSMTPD) with ESMTPS id 1a2b3c4d
	(TLS version=TLSv1.2 cipher=ECDHE-RSA-AES256-GCM-SHA384 bits=256 verify=NO)
	for <dr@clinic.test>; Tue, 1 Dec 2026 10:00:00 +0000 (UTC)`,
			"form=opensmtpd | helo=mail.example.com | name=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPS | id=1a2b3c4d | for=dr@clinic.test | tls=encrypted | version=TLSv1.2 | cipher=ECDHE-RSA-AES256-GCM-SHA384 | bits=256 | client=requested, none presented"},

		{"mox", `from mail.example.com (host7.example.com [192.0.2.7])
 by mx.clinic.test ([198.51.100.1]) via tcp with ESMTPS id AbCd1234EfGh5678
 (TLS1.3 TLS_AES_128_GCM_SHA256) for <dr@clinic.test>; 1 Dec 2026 10:00:00 +0000`,
			"form=mox | helo=mail.example.com | name=host7.example.com | ip=192.0.2.7 | by=mx.clinic.test | byip=198.51.100.1 | with=ESMTPS | id=AbCd1234EfGh5678 | for=dr@clinic.test | tls=encrypted | version=TLSv1.3 | cipher=TLS_AES_128_GCM_SHA256"},
		{"mox with REQUIRETLS and without a semicolon", `from mail.example.com ([192.0.2.7]) by mx.clinic.test ([198.51.100.1]) via tcp
 with ESMTPSA (requiretls) id AbCd (TLS1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) Tue, 1 Dec 2026 10:00:00 +0000`,
			"form=mox | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | byip=198.51.100.1 | with=ESMTPSA | id=AbCd | tls=encrypted | version=TLSv1.2 | cipher=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},

		{"stalwart", `from mail.example.com (host7.example.com [192.0.2.7] (AS64500 Example Networks, NL))
	(using TLSv1.3 with cipher TLS13_AES_256_GCM_SHA384)
	by mx.clinic.test (Stalwart SMTP) with ESMTPS id 3E1B2C4D5F60718;
	Tue, 1 Dec 2026 10:00:00 +0000`,
			"form=stalwart | helo=mail.example.com | name=host7.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPS | id=3E1B2C4D5F60718 | tls=encrypted | version=TLSv1.3 | cipher=TLS13_AES_256_GCM_SHA384"},

		{"haraka", `from mail.example.com (host7.example.com [192.0.2.7])
	by mx.clinic.test (Haraka/3.0.5) with ESMTPS id 0A1B2C3D-1234-4567-89AB-0123456789AB.1
	envelope-from <a@example.com>
	tls TLS_AES_256_GCM_SHA384;
	Tue, 01 Dec 2026 10:00:00 +0000`,
			"form=haraka | helo=mail.example.com | name=host7.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPS | id=0A1B2C3D-1234-4567-89AB-0123456789AB.1 | tls=encrypted | cipher=TLS_AES_256_GCM_SHA384"},
		{"haraka of old", `from mail.example.com ([192.0.2.7])
	by mx.clinic.test (Haraka/2.8.25) with ESMTPSA id 0A1B2C3D.1
	(version=TLSv1.2 cipher=ECDHE-RSA-AES128-GCM-SHA256 verify=NO)
	envelope-from <a@example.com> (authenticated bits=0);
	Tue, 01 Dec 2026 10:00:00 +0000`,
			"form=haraka | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPSA | id=0A1B2C3D.1 | tls=encrypted | version=TLSv1.2 | cipher=ECDHE-RSA-AES128-GCM-SHA256 | client=requested, none presented"},

		{"courier", `from mail.example.com (host7.example.com [::ffff:192.0.2.7])
  (AUTH: LOGIN someone, TLS: TLSv1.3,256bits,TLS_AES_256_GCM_SHA384)
  by mx.clinic.test with ESMTPSA
  id 00000000000A1B2C.000000006571A2B3.00001A2B; Tue, 01 Dec 2026 10:00:00 +0000`,
			"form=courier | helo=mail.example.com | name=host7.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPSA | id=00000000000A1B2C.000000006571A2B3.00001A2B | tls=encrypted | version=TLSv1.3 | cipher=TLS_AES_256_GCM_SHA384 | bits=256"},
		{"courier without TLS", `from mail.example.com ([::ffff:192.0.2.7])
  by mx.clinic.test with SMTP
  id 00000000000A1B2C.000000006571A2B3.00001A2B; Tue, 01 Dec 2026 10:00:00 +0000`,
			"form=courier | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=SMTP | id=00000000000A1B2C.000000006571A2B3.00001A2B | tls=plain"},

		{"amavis", `from mx.clinic.test ([127.0.0.1])
	by localhost (mx.clinic.test [127.0.0.1]) (amavisd-new, port 10024)
	with ESMTP id aBcDeF12gHiJ for <dr@clinic.test>; Tue,  1 Dec 2026 10:00:00 +0000 (UTC)`,
			"form=amavis | helo=mx.clinic.test | ip=127.0.0.1 | by=localhost | with=ESMTP | id=aBcDeF12gHiJ | for=dr@clinic.test | tls=plain | inside=true | samehost=true"},
		{"cyrus", `from mx.clinic.test ([unix socket])
	 by mx.clinic.test (Cyrus 3.4.4) with LMTPA; Tue, 01 Dec 2026 10:00:00 +0000`,
			"form=cyrus | helo=mx.clinic.test | by=mx.clinic.test | with=LMTPA | tls=plain | inside=true | samehost=true"},
		{"a form nobody knows, with RFC 8314's clause", `from mail.example.com ([192.0.2.7]) by mx.clinic.test (Nobody's Own) with ESMTPS id 7 tls TLS_AES_128_GCM_SHA256; Tue, 1 Dec 2026 10:00:00 +0000`,
			"form=other | helo=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=ESMTPS | id=7 | tls=encrypted | cipher=TLS_AES_128_GCM_SHA256"},
		{"plain RFC 5321", `from mail.example.com (mail.example.com [192.0.2.7]) by mx.clinic.test with SMTP id 7; Tue, 1 Dec 2026 10:00:00 +0000`,
			"form=other | helo=mail.example.com | name=mail.example.com | ip=192.0.2.7 | by=mx.clinic.test | with=SMTP | id=7"},
	}
}

func TestTheFormsOfTheField(t *testing.T) {
	for _, tt := range formCases() {
		t.Run(tt.name, func(t *testing.T) {
			l := Parse(strings.ReplaceAll(tt.line, "\n", "\r\n"))
			if got := facts(l); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if !l.Date.Equal(tenOClock) {
				t.Errorf("date %v", l.Date)
			}
		})
	}
}

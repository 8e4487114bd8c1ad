package mail

import (
	"bytes"
	netmail "net/mail"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// stampTime is the first of December 2026, ten o'clock in a zone that is not UTC.
var stampTime = time.Date(2026, 12, 1, 11, 0, 0, 0, time.FixedZone("CET", 3600))

func fullStamp() Received {
	return Received{
		Helo: "mail.example.com", ReverseName: MustDomain("mail.example.com"), Client: netip.MustParseAddr("192.0.2.7"),
		TLS: &TLS{Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Bits: 128, Group: "X25519MLKEM768",
			Signature: "ECDSA"},
		Hostname: MustDomain("gw.example.com"), Protocol: "ESMTPS", ID: "06bq4x2k9y8m3f7a",
		For: MustAddress("dr@clinic.test"), Date: stampTime,
	}
}

func TestReceivedPrintsTheStampOfTheDesign(t *testing.T) {
	want := strings.ReplaceAll(`Received: from mail.example.com (mail.example.com [192.0.2.7])
	(using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits)
 key-exchange X25519MLKEM768 server-signature ECDSA)
	(No client certificate requested)
	by gw.example.com (Postern) with ESMTPS id 06bq4x2k9y8m3f7a
	for <dr@clinic.test>; Tue, 1 Dec 2026 10:00:00 +0000
`, "\n", "\r\n")
	if got := string(fullStamp().AppendTo(nil)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := string(fullStamp().AppendTo([]byte("x"))); got != "x"+want {
		t.Error("AppendTo does not append")
	}
}

// unfolded is the value of the one field in b, as a reader sees it.
func unfolded(t *testing.T, b []byte) string {
	t.Helper()
	h := ParseHeader(b)
	if len(h.Fields()) != 1 || h.stray != 0 || h.Size() != len(b) {
		t.Fatalf("the stamp is not one field: %d fields, %d other lines, in\n%s", len(h.Fields()), h.stray, b)
	}
	return strings.ReplaceAll(h.Fields()[0].Value(), "\t", " ")
}

func TestReceivedInItsVariants(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Received)
		want   string // stands in the unfolded value
		never  string
	}{
		{"the design's text survives folding", func(r *Received) {}, "(using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits) key-exchange X25519MLKEM768 server-signature ECDSA)", ""},
		{"plaintext has no TLS clause", func(r *Received) { r.TLS = nil; r.Protocol = "ESMTP" }, "[192.0.2.7]) by gw.example.com (Postern) with ESMTP id ", "using"},
		{"RSA key exchange has no group", func(r *Received) { r.TLS = &TLS{Version: "TLSv1", Cipher: "AES128-SHA", Bits: 128, Signature: "RSA"} }, "(using TLSv1 with cipher AES128-SHA (128/128 bits) server-signature RSA)", "key-exchange"},
		{"256 bits", func(r *Received) { r.TLS.Bits = 256 }, "(256/256 bits)", ""},
		{"client certificate asked and not given", func(r *Received) { r.TLS.Client = &ClientCertificate{} }, "(Client did not present a certificate)", ""},
		{"client certificate verified", func(r *Received) {
			r.TLS.Client = &ClientCertificate{Presented: true, Verified: true, Subject: "CN=mail.example.com,O=Example", Issuer: "O=Example,CN=Example CA"}
		}, `(Client CN "mail.example.com", Issuer "Example CA" (verified OK))`, ""},
		{"client certificate of nobody", func(r *Received) {
			r.TLS.Client = &ClientCertificate{Presented: true, Subject: "O=No Name", Issuer: "plain"}
		}, `(Client CN "O=No Name", Issuer "plain" (not verified))`, ""},
		{"IPv6", func(r *Received) { r.Client = netip.MustParseAddr("2001:db8::1") }, "[IPv6:2001:db8::1])", ""},
		{"IPv6 zone is ours, not the world's", func(r *Received) { r.Client = netip.MustParseAddr("fe80::1%eth0") }, "[IPv6:fe80::1])", "eth0"},
		{"IPv4 in IPv6", func(r *Received) { r.Client = netip.MustParseAddr("::ffff:192.0.2.9") }, "[192.0.2.9])", ""},
		{"no address", func(r *Received) { r.Client = netip.Addr{} }, "(mail.example.com) (using", "["},
		{"no reverse name", func(r *Received) { r.ReverseName, r.NoReverse = Domain{}, true }, "(unknown [192.0.2.7])", ""},
		{"a reverse name that is not known", func(r *Received) { r.ReverseName = Domain{} }, "from mail.example.com ([192.0.2.7]) (using", "unknown"},
		{"nothing about the client", func(r *Received) { r.ReverseName, r.Client = Domain{}, netip.Addr{} }, "(unknown) (using", ""},
		{"no HELO", func(r *Received) { r.Helo = "" }, "from unknown (", ""},
		{"HELO literal", func(r *Received) { r.Helo = "[IPv6:2001:db8::2]" }, "from [IPv6:2001:db8::2] (", ""},
		{"HELO of U-labels", func(r *Received) { r.Helo = "bücher.test" }, "from xn--bcher-kva.test (", ""},
		{"several recipients", func(r *Received) { r.For = Address{} }, "id 06bq4x2k9y8m3f7a; Tue, 1 Dec", " for "},
		{"UTF8SMTP", func(r *Received) { r.For, r.Protocol = MustAddress("müller@clinic.test"), "UTF8SMTPS" }, "with UTF8SMTPS id 06bq4x2k9y8m3f7a for <müller@clinic.test>;", ""},
		{"a UTF-8 recipient does not stand in an ASCII message", func(r *Received) { r.For = MustAddress("müller@clinic.test") }, "06bq4x2k9y8m3f7a; Tue", "ller"},
		{"quoted recipient keeps its blanks", func(r *Received) { r.For = MustAddress(`"a  b"@clinic.test`) }, `for <"a  b"@clinic.test>;`, ""},
		{"HELO injection", func(r *Received) { r.Helo = "x)\r\nBcc: evil@evil.test\r\n\r\n(" }, "from x???Bcc:?evil?evil.test?????", "Bcc: "},
		{"reverse name as an A-label", func(r *Received) { r.ReverseName = MustDomain("bücher.test") }, "(xn--bcher-kva.test [192.0.2.7])", ""},
		{"subject breaks no quotation", func(r *Received) {
			r.TLS.Client = &ClientCertificate{Presented: true, Subject: "CN=a\" (verified OK)) by evil.test (\x1b[31m\r\nX: y"}
		}, `Client CN "a? ?verified OK?? by evil.test ??[31m??X: y", Issuer ""`, "\x1b"},
		{"blanks alone make no blank line", func(r *Received) {
			r.TLS.Client = &ClientCertificate{Presented: true, Subject: "CN=" + strings.Repeat(" ", 250) + "x"}
		}, `Client CN " x", Issuer`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := fullStamp()
			tt.change(&r)
			b := r.AppendTo(nil)
			got := unfolded(t, b)
			if !strings.Contains(got, tt.want) {
				t.Errorf("%q\nis not in\n%q", tt.want, got)
			}
			if tt.never != "" && strings.Contains(got, tt.never) {
				t.Errorf("%q is in\n%q", tt.never, got)
			}
			checkStamp(t, b)
		})
	}
}

// checkStamp holds the laws of every stamp: lines short where words allow it, never blank, comments balanced, the date
// where others look for it.
func checkStamp(t *testing.T, b []byte) {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSuffix(string(b), "\r\n"), "\r\n") {
		if strings.TrimSpace(line) == "" || strings.ContainsAny(line, "\r\n") {
			t.Errorf("blank or broken line %q", line)
		}
		if len(line) > 77 && len(strings.Fields(line)) > 1 {
			t.Errorf("line of %d octets could be folded: %q", len(line), line)
		}
		if len(line) > 998 {
			t.Errorf("line of %d octets", len(line))
		}
	}
	value := unfolded(t, b)
	date := value[strings.LastIndex(value, ";")+1:]
	if got, err := netmail.ParseDate(strings.TrimSpace(date)); err != nil || !got.Equal(stampTime) {
		t.Errorf("date %q: %v", date, err)
	}
}

func FuzzReceivedIsOneField(f *testing.F) {
	f.Add("mail.example.com", "unknown", "CN=x", "ESMTPS", "a@b.test")
	f.Add("(\r\n .", "\\", `CN="`, "UTF8SMTP", `"a;b>"@b.test`)
	f.Add("bücher.test", "\xff\u2028", "CN=\\", "x", "ü@b.test")
	f.Fuzz(func(t *testing.T, helo, reverse, subject, protocol, to string) {
		r := fullStamp()
		r.Helo, r.Protocol = helo, protocol
		r.ReverseName, _ = ParseDomain(reverse)
		r.TLS.Client = &ClientCertificate{Presented: true, Subject: subject, Issuer: subject}
		r.For, _ = ParseAddress(to)
		b := r.AppendTo(nil)
		checkStamp(t, b)
		if bytes.Count(b, []byte("(")) != bytes.Count(b, []byte(")")) && !strings.Contains(to, `"`) {
			t.Errorf("unbalanced comments in\n%s", b)
		}
	})
}

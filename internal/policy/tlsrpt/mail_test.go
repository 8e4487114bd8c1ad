package tlsrpt_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"reflect"
	"strings"
	"testing"
	"time"

	ours "postern/internal/mail"
	"postern/internal/policy/tlsrpt"
)

func example(t *testing.T) tlsrpt.Report {
	t.Helper()
	got, err := tlsrpt.Parse([]byte(rfcExample))
	if err != nil {
		t.Fatal(err)
	}
	return got.Report
}

func message(t *testing.T) tlsrpt.Message {
	return tlsrpt.Message{From: ours.MustAddress("tls-reports@mail.sender.test"), To: ours.MustAddress("reports@company-y.test"),
		Submitter: ours.MustDomain("mail.sender.test"), Domain: ours.MustDomain("company-y.test"), Report: example(t), ID: "Q-17",
		Now: time.Date(2016, 4, 2, 3, 4, 5, 0, time.UTC)}
}

// The mail is read by the standard library, which knows nothing of ours.
func TestTheMailIsThatOfRFC8460(t *testing.T) {
	m := message(t)
	text := m.Compose()
	parsed, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"From": `"Company-X" <tls-reports@mail.sender.test>`, "To": "<reports@company-y.test>", "Date": "Sat, 02 Apr 2016 03:04:05 +0000",
		"Subject":           "Report Domain: company-y.test Submitter: mail.sender.test Report-ID: <5065427c23d3@mail.sender.test>",
		"TLS-Report-Domain": "company-y.test", "TLS-Report-Submitter": "mail.sender.test", "TLS-Required": "No",
		"Message-ID": "<Q17@mail.sender.test>", "Auto-Submitted": "auto-generated", "MIME-Version": "1.0",
	} {
		if got := parsed.Header.Get(field); got != want {
			t.Errorf("%s: %s, want %s", field, got, want)
		}
	}
	kind, parameters, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || parameters["report-type"] != "tlsrpt" {
		t.Fatal(kind, parameters, err)
	}
	parts := multipart.NewReader(parsed.Body, parameters["boundary"])
	human, err := parts.NextPart()
	if err != nil || !strings.HasPrefix(human.Header.Get("Content-Type"), "text/plain") {
		t.Fatal(human, err)
	}
	said, _ := io.ReadAll(human) // decoded by NextPart
	for _, want := range []string{"from mail.sender.test", "company-y.test:", "Succeeded:  5326", "Failed:     303",
		"     200  starttls-not-supported\r\n       100  certificate-expired\r\n         3  validation-failure", "sts-reporting@company-x.test",
		"_smtp._tls.company-y.test"} {
		if !strings.Contains(string(said), want) {
			t.Errorf("%q is not in\n%s", want, said)
		}
	}
	file, err := parts.NextPart()
	if err != nil || file.Header.Get("Content-Type") != "application/tlsrpt+gzip" || file.Header.Get("Content-Transfer-Encoding") != "base64" ||
		file.FileName() != "mail.sender.test!company-y.test!1459468800!1459555199!5065427c23d3.json.gz" {
		t.Fatal(file.Header, file.FileName(), err)
	}
	packed, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, file))
	if err != nil || !bytes.Equal(packed, m.Report.Packed()) {
		t.Error(err)
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Error(err)
	}
	for line := range bytes.Lines(text) {
		if len(line) > 100 || !bytes.HasSuffix(line, []byte("\r\n")) || bytes.ContainsFunc(line, func(c rune) bool { return c > '~' }) {
			t.Errorf("line %q", line)
		}
	}
}

func TestOurMailIsReadByUs(t *testing.T) {
	m := message(t)
	for _, organization := range []string{"Company-X", "Klinik Süd gGmbH", "Bücher GmbH, Wien (Praxis)", `Bücher "Wien" <x@y.test>`, `a "b" \c`, "x\r\nBcc: y@z.test", "=?utf-8?q?=0d?=", strings.Repeat("ü", 900), ""} {
		m.Report.Organization = organization
		text := m.Compose()
		parsed, err := mail.ReadMessage(bytes.NewReader(text))
		if err != nil || len(parsed.Header) != 11 {
			t.Fatalf("%q: %v %v", organization, parsed.Header, err)
		}
		if from, err := parsed.Header.AddressList("From"); err != nil || len(from) != 1 || from[0].Address != "tls-reports@mail.sender.test" {
			t.Errorf("%q: %v %v %q", organization, from, err, parsed.Header.Get("From"))
		}
		got, err := fromMail(text)
		if err != nil || !reflect.DeepEqual(got.Report.Policies, m.Report.Policies) || got.Domain != "company-y.test" ||
			got.Submitter != "mail.sender.test" || got.FileName != m.FileName() || len(got.Oddities) > 0 {
			t.Errorf("%q: %+v, %v", organization, got, err)
		}
		for line := range bytes.Lines(text) {
			if len(line) > 998 {
				t.Errorf("%d octets in a line", len(line))
			}
		}
	}
	m.Report.ID = "2026-11-28.abc@mail.sender.test"
	if m.ReportID() != "<2026-11-28.abc@mail.sender.test>" {
		t.Error(m.ReportID())
	}
}

// fromMail is the first report of a mail.
func fromMail(text []byte) (tlsrpt.Letter, error) {
	all, err := tlsrpt.FromMail(text)
	if err != nil {
		return tlsrpt.Letter{}, err
	}
	return all[0], nil
}

type mailCase struct{ name, text, want string } // want is part of the error, "" where the report is found

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func mailCases() []mailCase {
	packed := base64.StdEncoding.EncodeToString(zip([]byte(rfcExample)))
	var wrapped strings.Builder
	for i, c := range packed {
		if wrapped.WriteRune(c); i%60 == 59 {
			wrapped.WriteString("\n")
		}
	}
	var qp bytes.Buffer
	w := quotedprintable.NewWriter(&qp)
	_, _ = w.Write([]byte(rfcExample))
	_ = w.Close()
	multi := func(kind, part string) string {
		return "From: a@b.test\nTLS-Report-Domain: Company-Y.test\nMIME-Version: 1.0\nContent-Type: " + kind + ";\n boundary=\"=_x\"\n\nPreamble\n--=_x\n" +
			"Content-Type: text/plain\n\nThis is an aggregate TLS report\n--=_x\n" + part + "\n--=_x--\nEpilogue\n"
	}
	file := func(kind, encoding, body string) string {
		return "Content-Type: " + kind + "\nContent-Transfer-Encoding: " + encoding + "\n\n" + body
	}
	const report = `multipart/report; report-type="tlsrpt"`
	gz := file("application/tlsrpt+gzip", "base64", wrapped.String())
	return []mailCase{
		{"the example of RFC 8460", multi(report, file("application/tlsrpt+gzip", "base64", wrapped.String())), ""},
		{"line ends CRLF", crlf(multi(report, gz)), ""},
		{"plain JSON, 8bit, under a name that says gzip (the RFC's example)", multi(report, "Content-Type: application/tlsrpt+json\nContent-Transfer-Encoding: 8bit\n"+
			"Content-Disposition: attachment;\n\tfilename=\"a!b!1013662812!1013749130.json.gz\"\n\n"+rfcExample), ""},
		{"JSON under the media type of gzip", multi(report, file("application/tlsrpt+gzip", "7bit", rfcExample)), ""},
		{"gzip under the media type of JSON", multi(report, file("application/tlsrpt+json", "base64", packed)), ""},
		{"quoted-printable", multi(report, file("application/tlsrpt+json", "quoted-printable", qp.String())), ""},
		{"the encoding in upper case", multi(report, file("Application/TLSRPT+JSON", "QUOTED-PRINTABLE", qp.String())), ""},
		{"multipart/mixed, application/gzip with a name (as for DMARC)", multi("multipart/mixed", file("application/gzip; name=\"google.com!c.test!1!2!001.json.gz\"", "base64", packed)), ""},
		{"application/octet-stream with a name (Amazon SES does so for DMARC)", multi("multipart/mixed", file("application/octet-stream;\n\tname=a!b!1!2.json.gz", "base64", packed)), ""},
		{"application/x-gzip without a name", multi("multipart/mixed", file("application/x-gzip", "base64", packed)), ""},
		{"application/json", multi("multipart/mixed", file("application/json", "7bit", rfcExample)), ""},
		{"text/plain that is JSON", multi("multipart/mixed", file("text/plain", "7bit", rfcExample)), ""},
		{"the whole mail is the report", "From: a@b.test\nContent-Type: application/tlsrpt+json\n\n" + rfcExample, ""},
		{"the whole mail is the report, compressed", "From: a@b.test\n" + gz, ""},
		{"the whole mail is JSON, and says nothing", "From: a@b.test\n\n" + rfcExample, ""},
		{"forwarded as a part", multi("multipart/mixed", "Content-Type: message/rfc822\n\n"+strings.ReplaceAll(multi(report, gz), "=_x", "=_y")), ""},
		{"inside another multipart, signed by a list", strings.ReplaceAll(multi("multipart/mixed", strings.ReplaceAll(multi(report, gz), "=_x", "=_y")), "\n--=_x--", "\n--=_x\nContent-Type: text/plain\n\n-- \nA list\n--=_x--"), ""},
		{"a list's words behind the base64", multi(report, gz+"\n_______\nA list\n"), ""},
		{"the last boundary is missing", strings.TrimSuffix(multi(report, gz), "\n--=_x--\nEpilogue\n"), ""},
		{"a Content-Type with two semicolons and a blank", multi(`multipart/report; ; report-type = tlsrpt;`, gz), ""},
		{"a DMARC report beside it", multi("multipart/mixed", file("application/gzip; name=a.xml.gz", "base64", base64.StdEncoding.EncodeToString(zip([]byte("<feedback/>"))))+"\n--=_x\n"+gz), ""},

		{"a letter", "From: a@b.test\n\nHello\n", "no TLS report in it"},
		{"nothing", "", "no TLS report in it"},
		{"a DMARC report", multi("multipart/mixed", file("application/gzip; name=a.xml.gz", "base64", base64.StdEncoding.EncodeToString(zip([]byte("<feedback/>"))))), "no TLS report in it"},
		{"a part that says it is one, and is none", multi(report, file("application/tlsrpt+json", "7bit", "{}")), "no TLS report: it has neither"},
		{"cut off", multi(report, file("application/tlsrpt+gzip", "base64", packed[:300])), "cut off"},
		{"a multipart without a boundary", strings.Replace(multi(report, gz), "boundary", "border", 1), "no TLS report in it"},
		{"too deep", strings.Repeat("Content-Type: message/rfc822\n\n", 20) + "\n" + rfcExample, "no TLS report in it"},
	}
}

func TestMailsOfTheField(t *testing.T) {
	want := sketch(example(t))
	for _, c := range mailCases() {
		t.Run(c.name, func(t *testing.T) {
			got, err := fromMail([]byte(c.text))
			switch {
			case c.want == "" && (err != nil || sketch(got.Report) != want):
				t.Errorf("%v\n%s", err, sketch(got.Report))
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// Some send the reports of several days, or of several policies, in one mail.
func TestAllReportsOfAMailAreFound(t *testing.T) {
	one := func(id, domain string) string {
		return `{"organization-name":"S","report-id":"` + id + `","policies":[{"policy":{"policy-type":"sts","policy-domain":"` + domain + `"}}]}`
	}
	attached := func(name, body string) string {
		return "--x\nContent-Type: application/tlsrpt+gzip; name=\"" + name + "\"\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString(zip([]byte(body))) + "\n"
	}
	many := func(n int) (all string) {
		for range n {
			all += attached("a.json.gz", one("1", "a.test"))
		}
		return all
	}
	for name, c := range map[string]struct{ parts, want, odd string }{
		"two parts":                   {attached("a.json.gz", one("1", "a.test")) + attached("b.json.gz", one("2", "b.test")), "1 a.test, 2 b.test", ""},
		"a list, and one beside it":   {attached("a.json.gz", "["+one("1", "a.test")+","+one("2", "b.test")+"]") + attached("b.json.gz", one("3", "c.test")), "1 a.test, 2 b.test, 3 c.test", ""},
		"one that cannot be read":     {attached("a.json.gz", one("1", "a.test")) + attached("b.json.gz", one("2", "b.test")[:40]), "1 a.test", "another part of the mail"},
		"as many as are taken":        {many(10), strings.Repeat("1 a.test, ", 9) + "1 a.test", ""},
		"one more":                    {many(11), "more than 10 parts", ""},
		"more reports than are taken": {attached("a.json.gz", strings.Repeat(one("1", "a.test"), 15)) + attached("b.json.gz", strings.Repeat(one("1", "a.test"), 15)), "more than 20 reports", ""},
	} {
		found, err := tlsrpt.FromMail([]byte("From: a@b.test\nContent-Type: multipart/mixed; boundary=x\n\n" + c.parts + "--x--\n"))
		var got, odd []string
		for _, l := range found {
			got, odd = append(got, l.Report.ID+" "+l.Report.Policies[0].Domain), append(odd, l.Oddities...)
		}
		switch said := strings.Join(odd, "\n"); {
		case err != nil && !strings.Contains(err.Error(), c.want), err == nil && strings.Join(got, ", ") != c.want:
			t.Errorf("%s: %q, %v, want %s", name, got, err, c.want)
		case !strings.Contains(said, c.odd):
			t.Errorf("%s: %s, want %s", name, said, c.odd)
		}
	}
}

func TestAMailOfAPersonIsNoFaultyReport(t *testing.T) {
	_, err := fromMail([]byte("From: a@b.test\n\n{\"hello\": \"world\"}\n"))
	if !errors.Is(err, tlsrpt.ErrNoReport) {
		t.Error(err)
	}
	_, err = fromMail(make([]byte, tlsrpt.MaxMail+1))
	if err == nil || errors.Is(err, tlsrpt.ErrNoReport) {
		t.Error(err)
	}
}

// What the report leaves out, the mail often says.
func TestTheMailSaysWhatTheReportLeavesOut(t *testing.T) {
	const bare = `{"report-id":"1","policies":[{"policy":{"policy-type":"no-policy-found"}}]}`
	got, err := fromMail([]byte("From: a@b.test\nTLS-Report-Submitter: MX.Sender.test\nContent-Type: application/tlsrpt+json\n" +
		"Content-Disposition: attachment; filename=\"sender.test!Clinic.test!1795824000!1795910399!x.json\"\n\n" + bare))
	if err != nil || got.Domain != "clinic.test" || got.Submitter != "mx.sender.test" || got.Report.Policies[0].Domain != "clinic.test" ||
		got.Report.Start != time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC) || got.Report.End != time.Date(2026, 11, 28, 23, 59, 59, 0, time.UTC) {
		t.Errorf("%+v %v", got, err)
	}
}

// A mail of bombs is unpacked no more often than a few times.
func TestAMailOfManyBombsIsGivenUp(t *testing.T) {
	bomb := base64.StdEncoding.EncodeToString(zip(make([]byte, tlsrpt.MaxSize)))
	part := "--x\nContent-Type: application/tlsrpt+gzip\nContent-Transfer-Encoding: base64\n\n" + bomb + "\n"
	began := time.Now()
	_, err := fromMail([]byte("Content-Type: multipart/mixed; boundary=x\n\n" + strings.Repeat(part, 200)))
	if took := time.Since(began); err == nil || took > time.Minute {
		t.Error(err, took)
	}
}

// FuzzFromMail holds that any mail is read, and what is found is within bounds.
func FuzzFromMail(f *testing.F) {
	for _, c := range mailCases() {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := fromMail(data)
		var fault *tlsrpt.Fault
		if err != nil && !errors.Is(err, tlsrpt.ErrNoReport) && !errors.As(err, &fault) {
			t.Errorf("%T %v", err, err)
		}
		if len(got.Domain) > 1030 || len(got.Submitter) > 1030 || len(got.FileName) > 1030 || strings.ContainsAny(got.Domain+got.Submitter+got.FileName, "\x00\r\n\x1b") {
			t.Errorf("%q %q %q", got.Domain, got.Submitter, got.FileName)
		}
		if problems := schema(got.Report.JSON()); len(problems) > 0 {
			t.Error(problems)
		}
	})
}

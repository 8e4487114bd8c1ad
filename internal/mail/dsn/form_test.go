package dsn

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"os/exec"
	"strings"
	"testing"

	"postern/internal/mail"
	"postern/internal/policy"
)

// checkForm holds for every notice: CRLF alone, no long line, no NUL, the size, and 8-bit only where allowed.
func checkForm(t *testing.T, r *Report, b []byte) {
	t.Helper()
	if len(b) > MaxSize {
		t.Errorf("the notice has %d bytes, want at most %d", len(b), MaxSize)
	}
	rest := bytes.ReplaceAll(b, []byte("\r\n"), nil)
	if bytes.ContainsAny(rest, "\r\n") || bytes.IndexByte(b, 0) >= 0 {
		t.Error("the notice has a bare CR, a bare LF or a NUL")
	}
	if longLines(b) {
		t.Error("the notice has a line over 998 octets")
	}
	if !r.UTF8 && !r.EightBit && !isASCII(b) {
		t.Error("the notice has 8-bit content that nobody allowed")
	}
	if header, _, _ := bytes.Cut(b, []byte("\r\n\r\n")); !r.UTF8 && !isASCII(header) {
		t.Error("the notice's header is not ASCII")
	}
}

// foreign reads the notice with the standard library and returns the decoded parts by media type.
func foreign(t *testing.T, b []byte) (header netmail.Header, kinds []string, parts []string) {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("net/mail: %v", err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" {
		t.Fatalf("content type %q: %v", kind, err)
	}
	mr := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := mr.NextPart()
		if err == io.EOF {
			return m.Header, kinds, parts
		}
		if err != nil {
			t.Fatalf("mime/multipart: %v", err)
		}
		content, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		k, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		kinds, parts = append(kinds, k), append(parts, string(content))
	}
}

func TestForeignParsersAgree(t *testing.T) {
	full := []byte("Subject: x\r\nMIME-Version: 1.0\r\n\r\nbody\r\n--postern/0a1b2c3d4e5f6g7h/0\r\n.\r\nFrom here\r\n")
	eight := []byte("Subject: Gr\xfc\xdfe\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n")
	utf8Head := []byte("Subject: Grüße\r\n\r\n")
	long := []byte("Subject: " + strings.Repeat("x", 2000) + "\r\n\r\n")
	for _, c := range []struct {
		name   string
		change func(*Report)
		kinds  string
		last   string
	}{
		{"header section only", func(r *Report) { r.Original = full }, "text/plain message/delivery-status text/rfc822-headers", "Subject: x\r\nMIME-Version: 1.0\r\n"},
		{"whole message with a line like the boundary", func(r *Report) { r.Original, r.OriginalFull = full, true },
			"text/plain message/delivery-status message/rfc822", string(full)},
		{"8-bit message where 8 bits were declared", func(r *Report) { r.Original, r.OriginalFull, r.EightBit = eight, true, true },
			"text/plain message/delivery-status message/rfc822", string(eight)},
		{"8-bit message where they were not", func(r *Report) { r.Original, r.OriginalFull = eight, true },
			"text/plain message/delivery-status text/rfc822-headers", "Subject: Gr\xfc\xdfe\r\n"},
		{"UTF-8 header of an SMTPUTF8 message", func(r *Report) { r.Original, r.UTF8 = utf8Head, true },
			"text/plain message/global-delivery-status message/global-headers", "Subject: Grüße\r\n"},
		{"UTF-8 message whole", func(r *Report) { r.Original, r.UTF8, r.OriginalFull = utf8Head, true, true },
			"text/plain message/global-delivery-status message/global", string(utf8Head)},
		{"Latin-1 header of an SMTPUTF8 message", func(r *Report) { r.Original, r.UTF8 = eight, true },
			"text/plain message/global-delivery-status text/rfc822-headers", "Subject: Gr\xfc\xdfe\r\n"},
		{"line over 998 octets", func(r *Report) { r.Original, r.OriginalFull = long, true },
			"text/plain message/delivery-status text/rfc822-headers", string(long[:len(long)-2])},
		{"whole message a rule protects", func(r *Report) { r.Original, r.OriginalFull, r.Recipients[0].Requires = full, true, policy.Encrypted },
			"text/plain message/delivery-status text/rfc822-headers", "Subject: x\r\nMIME-Version: 1.0\r\n"},
		{"whole message in a notice without a failure", func(r *Report) { r.Original, r.OriginalFull, r.Recipients[0].Action = full, true, Delayed },
			"text/plain message/delivery-status text/rfc822-headers", "Subject: x\r\nMIME-Version: 1.0\r\n"},
		{"bare line ends", func(r *Report) { r.Original, r.OriginalFull = []byte("Subject: x\nX: y\rZ: z\r\n\r\nbody\n"), true },
			"text/plain message/delivery-status text/rfc822-headers", "Subject: x\r\nX: y\r\nZ: z\r\n"},
		{"no header at all", func(r *Report) { r.Original = []byte("\r\nbody") }, "text/plain message/delivery-status text/rfc822-headers", ""},
		{"8-bit subject", func(r *Report) { r.Subject = "Grüße 😀" }, "text/plain message/delivery-status text/rfc822-headers", ""},
		{"huge message", func(r *Report) {
			r.Original, r.OriginalFull = []byte("Subject: y\r\n\r\n"+strings.Repeat("0123456789\r\n", MaxSize/12)), true
		}, "text/plain message/delivery-status text/rfc822-headers", "Subject: y\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := expired()
			r.Recipients[0].Requires = policy.Plaintext
			c.change(r)
			b, err := r.Build()
			if err != nil {
				t.Fatal(err)
			}
			checkForm(t, r, b)
			h, kinds, parts := foreign(t, b)
			if got := strings.Join(kinds, " "); got != c.kinds {
				t.Errorf("parts are %s, want %s", got, c.kinds)
			}
			if c.last != "" && parts[2] != c.last {
				t.Errorf("last part is %.80q, want %.80q", parts[2], c.last)
			}
			ours, err := Parse(b)
			if err != nil || ours.Human != parts[0] || string(ours.Original) != parts[2] {
				t.Errorf("our parser reads other parts than the standard library (%v)", err)
			}
			if subject, _ := new(mime.WordDecoder).DecodeHeader(h.Get("Subject")); subject != ours.Subject || !strings.HasSuffix(subject, r.Subject) {
				t.Errorf("subject %q, ours %q, want the original's %q in it", subject, ours.Subject, r.Subject)
			}
		})
	}
}

func TestPythonReadsTheNotice(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here")
	}
	r := expired()
	r.Subject, r.UTF8 = "Grüße", true
	r.Recipients = append(r.Recipients, Recipient{Address: mail.MustAddress("jürgen@clinic.test"), Action: Delayed, Reason: policy.TLSAlert})
	b, err := r.Build()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", `
import sys, email, email.policy
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.SMTPUTF8)
parts = list(m.iter_parts())
print(m.get_content_type(), len(parts), len(m.defects), m["auto-submitted"], str(m["subject"]))
print(parts[1].get_content_type(), len(parts[0].defects), "NOT be delivered" in parts[0].get_content())
`)
	cmd.Env = []string{"PYTHONIOENCODING=utf-8"}
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.CombinedOutput()
	want := "multipart/report 3 0 auto-replied NOT delivered: Grüße\nmessage/global-delivery-status 0 True\n"
	if err != nil || string(out) != want {
		t.Errorf("python says %q (%v), want %q", out, err, want)
	}
}

func TestManyRecipientsWithMuchToSayStayBelowTheBound(t *testing.T) {
	r := expired()
	r.Original = []byte(strings.Repeat("X-Long: "+strings.Repeat("y", 900)+"\r\n", 500))
	big := r.Recipients[0]
	big.Text = strings.Repeat("große Worte ", 300)
	big.Rules = []string{strings.Repeat("r", 4000), strings.Repeat("s", 4000)}
	big.ORCPT = "rfc822;" + strings.Repeat("z", 5000)
	a := expiredAttempt()
	for len(a.Tries) < 60 {
		a.Tries = append(a.Tries, a.Tries[1])
		a.Tries[len(a.Tries)-1].Remote = strings.Repeat("spam spam ", 5000)
	}
	big.Attempt = a
	r.Recipients = nil
	for i := range MaxRecipients {
		big.Address = mail.MustAddress(fmt.Sprintf("u%d@clinic.test", i))
		r.Recipients = append(r.Recipients, big)
	}
	b, err := r.Build()
	if err != nil {
		t.Fatal(err)
	}
	checkForm(t, r, b)
	p, err := Parse(b)
	if err != nil || len(p.Recipients) != MaxRecipients {
		t.Fatalf("%v; %d recipients, want %d", err, len(p.Recipients), MaxRecipients)
	}
	if !strings.Contains(p.Human, "<u199@clinic.test>") {
		t.Error("the first part does not name every recipient")
	}
}

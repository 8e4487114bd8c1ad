package smtpclient

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"testing"
	"testing/iotest"

	"postern/internal/smtp"
)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// convert does both passes, as Send does, and checks what holds for every result.
func convert(t *testing.T, content string) (string, error) {
	t.Helper()
	plan, err := surveySevenBit(strings.NewReader(content))
	if err != nil {
		return "", err
	}
	got, err := io.ReadAll(newSevenBit(strings.NewReader(content), plan))
	if err != nil {
		t.Fatalf("%q: the survey was happy, the conversion says %v", content, err)
	}
	slow, err := io.ReadAll(newSevenBit(iotest.OneByteReader(strings.NewReader(content)), plan))
	if err != nil || !bytes.Equal(got, slow) {
		t.Fatalf("%q: read octet by octet it gives %q, %v", content, slow, err)
	}
	if smtp.HasEightBit(got) || hasBare(got) {
		t.Fatalf("%q became %q", content, got)
	}
	return string(got), nil
}

func hasBare(b []byte) bool {
	var enc smtp.DotEncoder
	_, err := enc.Append(nil, b)
	return err != nil
}

func TestConversionToSevenBit(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a text that says what it is",
			"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\nSubject: x\n\nÜber =\t\nalles \n",
			"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\nSubject: x\n\n" +
				"=C3=9Cber =3D=09\nalles=20\n"},
		{"a text that says nothing (RFC 1428)", "Subject: x\n\n\xfc\n",
			"MIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\nSubject: x\nContent-Transfer-Encoding: quoted-printable\n\n=FC\n"},
		{"no end of line at the end", "Subject: x\nMIME-Version: 1.0\n\n\xfc",
			"Subject: x\nMIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\n\n=FC"},
		{"not text", "MIME-Version: 1.0\nContent-Type: image/x\nContent-Transfer-Encoding: binary (raw)\n\n\xff\xfe\nx\n",
			"MIME-Version: 1.0\nContent-Type: image/x\nContent-Transfer-Encoding: base64\n\n//4NCngNCg==\n"},
		{"a folded label", "MIME-Version: 1.0\nContent-Transfer-Encoding:\n 8BIT\nX: y\n\n\xfc\n",
			"MIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\nX: y\n\n=FC\n"},
		{"only the parts that need it",
			"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b\"\nContent-Transfer-Encoding: 8bit\n\npreamble\n" +
				"--b\n\nplain\n--b\nContent-Type: text/html\nContent-Transfer-Encoding: 8bit\n\n\xfc\n\n--b\nContent-Type: a/b\n\n\xfc\n--b--\nepilogue\n",
			"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b\"\nContent-Transfer-Encoding: 7bit\n\npreamble\n" +
				"--b\n\nplain\n--b\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n=FC\n\n--b\nContent-Type: a/b\n" +
				"Content-Transfer-Encoding: base64\n\n/A==\n--b--\nepilogue\n"},
		{"a message inside a message",
			"MIME-Version: 1.0\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nSubject: in\nContent-Transfer-Encoding: 8bit\n\n\xfc\n",
			"MIME-Version: 1.0\nContent-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\n\nSubject: in\nContent-Transfer-Encoding: quoted-printable\n\n=FC\n"},
		{"a digest", "MIME-Version: 1.0\nContent-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: in\n\n\xfc\n--b--\n",
			"MIME-Version: 1.0\nContent-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: in\nContent-Transfer-Encoding: quoted-printable\n\n=FC\n--b--\n"},
		{"a signed part stays as it is",
			"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/signed; boundary=s\n\n--s\n\nsigned \n--s--\n--b\n\n\xfc\n--b--\n",
			"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/signed; boundary=s\n\n--s\n\nsigned \n--s--\n--b\n" +
				"Content-Transfer-Encoding: quoted-printable\n\n=FC\n--b--\n"},
		{"the end of the outer multipart ends the inner one",
			"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\n\xfc\n--o--\n",
			"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n" +
				"Content-Transfer-Encoding: quoted-printable\n\n=FC\n--o--\n"},
		{"7-bit content with the label 8bit", "MIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\nplain\n",
			"MIME-Version: 1.0\nContent-Transfer-Encoding: 7bit\n\nplain\n"},
		{"nothing but a header", "Subject: x\n", "Subject: x\n"},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := convert(t, crlf(c.in))
			if err != nil || got != crlf(c.want) {
				t.Errorf("got\n%q, %v, want\n%q", got, err, crlf(c.want))
			}
		})
	}
}

func TestWhatCannotBeConvertedIsSaidBefore(t *testing.T) {
	for name, in := range map[string]string{
		"8-bit header":          "Subject: \xfc\n\nx\n",
		"8-bit part header":     "Content-Type: multipart/mixed; boundary=b\n\n--b\nX: \xfc\n\nx\n--b--\n",
		"8-bit preamble":        "Content-Type: multipart/mixed; boundary=b\n\n\xfc\n--b\n\nx\n--b--\n",
		"8-bit in signed":       "Content-Type: multipart/signed; boundary=b\n\n--b\n\n\xfc\n--b--\n",
		"8-bit in encrypted":    "Content-Type: multipart/encrypted; boundary=b\n\n--b\n\n\xfc\n--b--\n",
		"8-bit in partial":      "Content-Type: message/partial; id=1\n\n\xfc\n",
		"lies about itself":     "Content-Transfer-Encoding: base64\n\n\xfc\n",
		"unknown encoding":      "Content-Transfer-Encoding: x-uue\n\n\xfc\n",
		"no boundary":           "Content-Type: multipart/mixed\n\n\xfc\n",
		"broken multipart":      "Content-Type: multipart/mixed; boundary=\n\n\xfc\n",
		"two labels":            "Content-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: 7bit\n\n\xfc\n",
		"two types":             "Content-Type: text/plain\nContent-Type: text/html\n\n\xfc\n",
		"too deep":              nested(maxDepth + 2),
		"header without an end": strings.Repeat("X: y\n", maxPartHeader/4),
	} {
		if got, err := convert(t, crlf(in)); !errors.Is(err, errNotConvertible) {
			t.Errorf("%s: got %.200q, %v", name, got, err)
		}
	}
	for _, in := range []string{"\n\xfc", "a\r\n\r\nb\nc\r\n", "a\r\n\r\nb\rc\r\n", "a\r\n\r\nb\r"} {
		if got, err := convert(t, in); !errors.Is(err, errNotConvertible) {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
}

func nested(depth int) string {
	var b strings.Builder
	for i := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	return b.String() + "\n\xfc\n"
}

func TestErrorsOfTheContentPassThrough(t *testing.T) {
	broken := errors.New("disk on fire")
	_, err := surveySevenBit(io.MultiReader(strings.NewReader("A: b\r\n\r\nc\r\n"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) {
		t.Errorf("survey: %v", err)
	}
}

// TestLinesLongerThanTheBufferAreConverted cuts lines at every place around the buffer's end, between CR and LF too.
func TestLinesLongerThanTheBufferAreConverted(t *testing.T) {
	for n := 4085; n < 4105; n++ {
		line := strings.Repeat("x", n-1) + "\xfc\r\n--b\r\n"
		for _, kind := range []string{"text/plain", "a/b"} {
			content := "MIME-Version: 1.0\r\nContent-Type: " + kind + "\r\n\r\n" + line + line
			got, err := convert(t, content)
			if err != nil {
				t.Fatal(err)
			}
			if after := leaves(t, got); after[0] != kind+" "+line+line {
				t.Fatalf("%d octets of %s became %q", n, kind, after[0])
			}
		}
		plain := "Subject: x\r\n\r\n" + strings.Repeat("x", n) + "\r\ny\r\n"
		if got, err := convert(t, plain); err != nil || got != plain {
			t.Fatalf("%d octets of 7-bit text changed, %v", n, err)
		}
	}
}

// TestConvertedContentMeansTheSame makes random trees of parts and compares, leaf by leaf, what independent decoders
// read before and after.
func TestConvertedContentMeansTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 400 {
		content := "MIME-Version: 1.0\r\n" + randomEntity(r, 0)
		got, err := convert(t, content)
		if err != nil {
			t.Fatalf("%q: %v", content, err)
		}
		before, after := leaves(t, content), leaves(t, got)
		if len(before) != len(after) {
			t.Fatalf("%d leaves became %d:\n%q\n%q", len(before), len(after), content, got)
		}
		for i := range before {
			if before[i] != after[i] {
				t.Fatalf("leaf %d\n%q became\n%q in\n%q", i, before[i], after[i], got)
			}
		}
	}
}

func randomEntity(r *rand.Rand, depth int) string {
	if depth < 4 && r.IntN(2) == 0 {
		b := fmt.Sprintf("b%d-%d", depth, r.IntN(10))
		out := "Content-Type: multipart/mixed; boundary=\"" + b + "\"\r\n\r\n"
		for range 1 + r.IntN(3) {
			out += "--" + b + "\r\n" + randomEntity(r, depth+1) + "\r\n"
		}
		return out + "--" + b + "--\r\n"
	}
	kind := []string{"text/plain; charset=utf-8", "text/html", "application/x", "image/png"}[r.IntN(4)]
	label := []string{"", "Content-Transfer-Encoding: 8bit\r\n", "Content-Transfer-Encoding: binary\r\n"}[r.IntN(3)]
	return "Content-Type: " + kind + "\r\n" + label + "\r\n" + randomLines(r)
}

func randomLines(r *rand.Rand) string {
	words := []string{"ü", "word ", "=", ".", "\t", " ", "--", "\xff", strings.Repeat("long", 300), "\x00", "--b0"}
	var b strings.Builder
	for range r.IntN(6) {
		for range r.IntN(5) {
			b.WriteString(words[r.IntN(len(words))])
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

// leaves decodes content with the standard library's readers.
func leaves(t *testing.T, content string) []string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(content))
	if err != nil {
		t.Fatalf("%v in %q", err, content)
	}
	return walk(t, m.Header.Get, m.Body)
}

func walk(t *testing.T, header func(string) string, body io.Reader) []string {
	kind, params, err := mime.ParseMediaType(header("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(kind, "multipart/") {
		switch header("Content-Transfer-Encoding") {
		case "quoted-printable":
			body = quotedprintable.NewReader(body)
		case "base64":
			body = base64.NewDecoder(base64.StdEncoding, body)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		return []string{kind + " " + string(text)}
	}
	var out []string
	for r := multipart.NewReader(body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, walk(t, p.Header.Get, p)...)
	}
}

func FuzzSevenBit(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 20 {
		f.Add("MIME-Version: 1.0\r\n" + randomEntity(r, 0))
	}
	f.Add("Subject: x\r\n\r\n\xfc\r\n")
	f.Fuzz(func(t *testing.T, content string) {
		got, err := convert(t, content)
		if err != nil && !errors.Is(err, errNotConvertible) {
			t.Fatal(err)
		}
		if err == nil && !smtp.HasEightBit([]byte(content)) && !strings.Contains(strings.ToLower(content), "8bit") &&
			!strings.Contains(strings.ToLower(content), "binary") && got != content {
			t.Fatalf("7-bit content %q changed to %q", content, got)
		}
	})
}

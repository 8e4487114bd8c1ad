package smtp_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/textproto"
	"strings"
	"testing"

	"bufio"

	"postern/internal/smtp"
)

func encodeWhole(t *testing.T, content string, cut func(rest int) int) (string, error) {
	t.Helper()
	var enc smtp.DotEncoder
	var out []byte
	var err error
	for rest := []byte(content); len(rest) > 0; {
		n := cut(len(rest))
		if out, err = enc.Append(out, rest[:n]); err != nil {
			return "", err
		}
		rest = rest[n:]
	}
	out, err = enc.Finish(out)
	return string(out), err
}

func TestDotEncoderStuffsAndEnds(t *testing.T) {
	for _, c := range []struct{ content, want string }{
		{"", ".\r\n"},
		{"a\r\n", "a\r\n.\r\n"},
		{"a", "a\r\n.\r\n"},
		{".", "..\r\n.\r\n"},
		{".\r\n", "..\r\n.\r\n"},
		{"..\r\n.a\r\na.\r\n", "...\r\n..a\r\na.\r\n.\r\n"},
		{"\r\n.\r\n", "\r\n..\r\n.\r\n"},
		{"a\r\n\r\n", "a\r\n\r\n.\r\n"},
	} {
		for size := 1; size <= len(c.content)+1; size++ {
			got, err := encodeWhole(t, c.content, func(rest int) int { return min(size, rest) })
			if err != nil || got != c.want {
				t.Errorf("%q in pieces of %d: got %q, %v, want %q", c.content, size, got, err, c.want)
			}
		}
	}
}

func TestDotEncoderRefusesBareLineEnds(t *testing.T) {
	for _, content := range []string{"\n", "\r", "a\nb\r\n", "a\r\r\n", "a\r.\r\n", "a\n.\n", "\r\n.\r", "a\r\n\n"} {
		for size := 1; size <= len(content); size++ {
			got, err := encodeWhole(t, content, func(rest int) int { return min(size, rest) })
			if !errors.Is(err, smtp.ErrBareLineEnd) {
				t.Errorf("%q in pieces of %d: got %q, %v", content, size, got, err)
			}
		}
	}
}

// TestDotEncoderAgreesWithTextproto compares with an independent encoder on content both must encode alike.
func TestDotEncoderAgreesWithTextproto(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{".", "..", "\r\n", "\r\n.", "a", "hello", "\r\n.\r\n", "\x00", "\xff", " "}
	for range 5000 {
		var content strings.Builder
		for range r.IntN(12) {
			content.WriteString(pieces[r.IntN(len(pieces))])
		}
		got, err := encodeWhole(t, content.String(), func(rest int) int { return 1 + r.IntN(rest) })
		if err != nil {
			t.Fatalf("%q: %v", content.String(), err)
		}
		var want bytes.Buffer
		w := textproto.NewWriter(bufio.NewWriter(&want)).DotWriter()
		if _, err := w.Write([]byte(content.String())); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if content.Len() == 0 { // textproto ends nothing at all with an empty line before the dot
			want.Reset()
			want.WriteString(".\r\n")
		}
		if got != want.String() {
			t.Fatalf("%q: got %q, textproto %q", content.String(), got, want.String())
		}
	}
}

// TestDotDecoderUndoesTheEncoder joins the two directions: what one end stuffs the other takes out.
func TestDotDecoderUndoesTheEncoder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	pieces := []string{".", "\r\n", "\r\n.", "ab", "\r\n.\r\n"}
	for range 2000 {
		content := "x"
		for range r.IntN(12) {
			content += pieces[r.IntN(len(pieces))]
		}
		content += "\r\n"
		wire, err := encodeWhole(t, content, func(rest int) int { return rest })
		if err != nil {
			t.Fatal(err)
		}
		if i := strings.Index("\r\n"+wire, "\r\n.\r\n"); i+3 != len(wire) {
			t.Fatalf("%q: an end of data inside %q", content, wire)
		}
		lines := strings.SplitAfter(strings.TrimSuffix(wire, ".\r\n"), "\r\n")
		for i := range lines {
			lines[i] = strings.TrimPrefix(lines[i], ".")
		}
		if got := strings.Join(lines, ""); got != content {
			t.Fatalf("%q came back as %q", content, got)
		}
	}
}

func TestDotEncoderDoesNotAllocate(t *testing.T) {
	content := []byte(strings.Repeat("a line\r\n.dot\r\n", 1000))
	dst := make([]byte, 0, 2*len(content))
	if n := testing.AllocsPerRun(10, func() {
		var enc smtp.DotEncoder
		if _, err := enc.Append(dst, content); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDotEncoder(b *testing.B) {
	content := []byte(strings.Repeat("a line of content that is about as long as lines of mail use to be\r\n", 1000))
	dst := make([]byte, 0, 2*len(content))
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		var enc smtp.DotEncoder
		_, _ = enc.Append(dst, content)
	}
}

package smtp_test

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net/textproto"
	"strings"
	"testing"

	"postern/internal/smtp"
)

// decode feeds in to d in pieces of at most step octets, through a dst of size room, and returns the content and what
// was not read.
func decode(d *smtp.Decoder, in string, step, room int) (content, rest string, done bool) {
	var out bytes.Buffer
	dst := make([]byte, room)
	src := []byte(in)
	for len(src) > 0 && !done {
		piece := src[:min(step, len(src))]
		for len(piece) > 0 && !done {
			var n, used int
			n, used, done = d.Decode(dst, piece)
			out.Write(dst[:n])
			piece, src = piece[used:], src[used:]
		}
	}
	return out.String(), string(src), done
}

func TestContentEndsAtItsOneTrueEnd(t *testing.T) {
	for _, tc := range []struct {
		in, content, rest string
		done              bool
		faults            smtp.Fault
	}{
		{".\r\nQUIT\r\n", "", "QUIT\r\n", true, 0},
		{"a\r\n.\r\n", "a\r\n", "", true, 0},
		{"..\r\n...a\r\n.b\r\n.\r\n", ".\r\n..a\r\nb\r\n", "", true, 0},
		{"a.\r\n.\r\n", "a.\r\n", "", true, 0},
		{"a\r\n.", "a\r\n", "", false, 0},
		{"a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", "", true, smtp.BareLF},
		{"a\r.\rb\r\n.\r\n", "a\r.\rb\r\n", "", true, smtp.BareCR},
		{"a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", "", true, smtp.BareLF},
		{"a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n", "", true, smtp.BareCR},
		{"a\r\r\n.\r\r\n.\r\n", "a\r\r\n\r\r\n", "", true, smtp.BareCR},
		{"a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", "", true, smtp.BareLF},
		{"a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n", "", true, smtp.BareCR},
		{"\x00\r\n.\r\n", "\x00\r\n", "", true, smtp.NUL},
	} {
		for step := 1; step <= len(tc.in); step++ {
			var d smtp.Decoder
			content, rest, done := decode(&d, tc.in, step, 4+step%5)
			if content != tc.content || rest != tc.rest || done != tc.done || d.Faults != tc.faults {
				t.Errorf("%q in steps of %d: %q, rest %q, done %v, faults %b", tc.in, step, content, rest, done, d.Faults)
			}
		}
	}
}

func TestConvertedContentMeansOneThing(t *testing.T) {
	for in, want := range map[string]string{
		"a\n.\nb\r\n.\r\n":      "a\r\n.\r\nb\r\n",
		"a\r.\r\nb\r\n.\r\n":    "a\r\n.\r\nb\r\n",
		"a\r\r\n.\r\n":          "a\r\n\r\n",
		"\n..\n\r\n..\r\n.\r\n": "\r\n..\r\n\r\n.\r\n",
	} {
		for step := 1; step <= len(in); step++ {
			d := smtp.Decoder{Convert: true}
			content, rest, done := decode(&d, in, step, 2+step%7)
			if content != want || rest != "" || !done {
				t.Errorf("%q in steps of %d: %q, rest %q, done %v", in, step, content, rest, done)
			}
		}
	}
}

func TestRawContentHasNoDots(t *testing.T) {
	for _, tc := range []struct {
		in, want string
		faults   smtp.Fault
	}{
		{"", "", 0}, {".\r\n", ".\r\n", 0}, {"..a\r\n.\r\nb", "..a\r\n.\r\nb\r\n", 0}, {"a\r", "a\r\n", smtp.BareCR}, {"a\nb\r\n", "a\nb\r\n", smtp.BareLF},
	} {
		d := smtp.Decoder{Raw: true}
		content, _, done := decode(&d, tc.in, 3, 8)
		content += d.Finish()
		if content != tc.want || done || d.Faults != tc.faults {
			t.Errorf("%q: %q, done %v, faults %b", tc.in, content, done, d.Faults)
		}
	}
}

func TestLinesAreCounted(t *testing.T) {
	for _, tc := range []struct {
		in   string
		long bool
	}{
		{strings.Repeat("x", 10) + "\r\n", false}, {strings.Repeat("x", 11) + "\r\n", true},
		{"12345\r\n1234567890\r\n1\r\n", false}, {"1\r\n." + strings.Repeat("x", 10) + "\r\n", false}, {"1234567890", false}, {"12345678901", true},
	} {
		for step := 1; step < 15; step++ {
			d := smtp.Decoder{MaxLine: 10}
			decode(&d, tc.in, step, 16)
			if got := d.Faults&smtp.LongLine != 0; got != tc.long {
				t.Errorf("%q in steps of %d: long is %v", tc.in, step, got)
			}
		}
	}
}

func TestEightBitIsSeenAtEveryPlace(t *testing.T) {
	for i := range 40 {
		b := bytes.Repeat([]byte("x"), 40)
		if smtp.HasEightBit(b) {
			t.Fatal("ASCII")
		}
		b[i] = 0x80
		if !smtp.HasEightBit(b) || !smtp.HasEightBit(b[i:]) || smtp.HasEightBit(b[:i]) {
			t.Errorf("at %d", i)
		}
	}
}

// TestPiecesChangeNothing is a law: however octets arrive, the same content, end and faults come out.
func TestPiecesChangeNothing(t *testing.T) {
	const seed = 5321
	rnd := rand.New(rand.NewPCG(seed, 1))
	for range 3000 {
		in := randomContent(rnd)
		raw, convert := rnd.IntN(4) == 0, rnd.IntN(2) == 0
		whole := smtp.Decoder{Raw: raw, Convert: convert, MaxLine: 5}
		content, rest, done := decode(&whole, in, len(in)+1, 2*len(in)+2)
		pieces := smtp.Decoder{Raw: raw, Convert: convert, MaxLine: 5}
		content2, rest2, done2 := decode(&pieces, in, 1+rnd.IntN(4), 2+rnd.IntN(6))
		if content != content2 || rest != rest2 || done != done2 || whole.Faults != pieces.Faults || whole.EightBit != pieces.EightBit {
			t.Fatalf("seed %d: %q: %q %q %v %b, in pieces %q %q %v %b", seed, in, content, rest, done, whole.Faults, content2, rest2, done2, pieces.Faults)
		}
		if convert && strings.Trim(strings.ReplaceAll(content, "\r\n", ""), "\r\n") != strings.ReplaceAll(content, "\r\n", "") {
			t.Fatalf("seed %d: %q left bare ends in %q", seed, in, content)
		}
	}
}

func randomContent(rnd *rand.Rand) string {
	var b strings.Builder
	for range rnd.IntN(24) {
		b.WriteString([]string{"\r\n", "\r\n", "\r\n.", ".", "\r", "\n", "a", "bc", "\x00", "\xff", "\r\n.\r\n"}[rnd.IntN(11)])
	}
	return b.String()
}

// FuzzDecoder compares with net/textproto, which agrees about content without bare line ends.
func FuzzDecoder(f *testing.F) {
	for _, s := range []string{".\r\n", "a\r\n.\r\n", "..\r\n.\r\nx", "a\n.\n", "\r\n.\r", "a\r\n.b\r\n.\r\nQUIT\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var d smtp.Decoder
		content, rest, done := decode(&d, string(in), 7, 9)
		if !done || d.Faults&(smtp.BareCR|smtp.BareLF) != 0 {
			return
		}
		r := bufio.NewReader(bytes.NewReader(in))
		theirs, err := io.ReadAll(textproto.NewReader(r).DotReader())
		if err != nil {
			t.Fatalf("%q: net/textproto fails: %v", in, err)
		}
		after, _ := io.ReadAll(r)
		if got := strings.ReplaceAll(content, "\r\n", "\n"); got != string(theirs) || rest != string(after) {
			t.Errorf("%q: content %q and %q, rest %q and %q", in, got, theirs, rest, after)
		}
	})
}

func BenchmarkDecoder(b *testing.B) {
	in := []byte(strings.Repeat(strings.Repeat("x", 70)+"\r\n", 455) + ".\r\n")
	dst := make([]byte, 64<<10)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		var d smtp.Decoder
		d.Decode(dst, in)
	}
}

// hasLoneDot is the definition by itself: a dot between line ends of any kind, of which one is no CRLF, or two dots of
// which the first is taken out. The start of the content counts as CRLF.
func hasLoneDot(raw string, doubled bool) bool {
	if doubled {
		for i := range len(raw) - 2 {
			if strings.HasPrefix(raw[i:], "..") && (i == 0 || strings.HasSuffix(raw[:i], "\r\n")) {
				if end := raw[i+2:]; end[0] == '\n' || len(end) > 1 && end[0] == '\r' && end[1] != '\n' {
					return true
				}
			}
		}
	}
	for i := range len(raw) - 1 {
		if raw[i] != '.' || i > 0 && raw[i-1] != '\r' && raw[i-1] != '\n' || raw[i+1] != '\r' && raw[i+1] != '\n' {
			continue
		}
		begins := i == 0 || strings.HasSuffix(raw[:i], "\r\n")
		ends := strings.HasPrefix(raw[i+1:], "\r\n")
		undecided := raw[i+1:] == "\r" && begins
		if !undecided && !(begins && ends) {
			return true
		}
	}
	return false
}

// FuzzLoneDots holds the watch against its definition, in whatever pieces the octets come, and what is let through
// against what a server that knows other line ends would read.
func FuzzLoneDots(f *testing.F) {
	for _, s := range []string{"a\n.\nb", "a\r\n.\nb", "a\n.\r\nb", "a\r.\rb", "a\r\n.\rb", ".\n", ".\r\r\n", "\r\n..\r\n", "a\n..\nb", "a\r\r\n.\r\r\n", "a\n.b\n", "..\n0", "\r\n..\rx", "...\n"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, raw string, cut int) {
		for _, isRaw := range []bool{false, true} {
			d := smtp.Decoder{Convert: true, Raw: isRaw}
			out, used := decodeInPieces(&d, raw, cut)
			if got, want := d.Faults&smtp.LoneDot != 0, hasLoneDot(raw[:used], !isRaw); got != want {
				t.Errorf("%q: lone dot %v, want %v", raw[:used], got, want)
			}
			if d.Faults&smtp.LoneDot == 0 && strings.ContainsAny(strings.ReplaceAll(out, "\r\n", ""), "\r\n") {
				t.Errorf("%q gives %q with a bare end", raw, out)
			}
			if isRaw || d.Faults&smtp.LoneDot != 0 {
				continue
			}
			// A line of a dot can only be one that was doubled between CRLFs, and is doubled again when it is sent on.
			lines := strings.Count("\r\n"+out, "\r\n.\r\n")
			if doubled := strings.Count("\r\n"+raw[:used], "\r\n..\r"); lines > doubled {
				t.Errorf("%q gives %q, with %d lines of a dot", raw, out, lines)
			}
		}
	})
}

func decodeInPieces(d *smtp.Decoder, raw string, cut int) (out string, used int) {
	step := max(1, cut%7)
	for used < len(raw) {
		src := []byte(raw[used:min(used+step, len(raw))])
		dst := make([]byte, len(src)+2)
		n, r, done := d.Decode(dst, src)
		out, used = out+string(dst[:n]), used+r
		if done {
			break
		}
	}
	return out, used
}

package smtpclient

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime/quotedprintable"

	"postern/internal/smtp"
)

// errNotConvertible says that 8-bit content has no 7-bit form that means the same and breaks nothing: an 8-bit header,
// a signed or encrypted multipart, a part that is mislabelled or too odd to be sure of.
var errNotConvertible = errors.New("the content has 8-bit octets where they cannot be re-encoded")

// Bounds of what is converted; beyond them nobody writes in good faith.
const (
	maxPartHeader = 256 << 10
	maxParts      = 10_000
	maxDepth      = 50
)

// sevenBit reads 8-bit content and gives the same content in 7-bit form (RFC 6152 §3, RFC 2045 §6): every leaf with
// 8-bit octets becomes quoted-printable if it is text, else base64; every label is corrected; all else stays as it is,
// octet by octet. It streams: one line fragment, one part's header and the nesting are all it holds.
//
//	            empty line               boundary line
//	header ------------------> body ------------------------> header | epilogue
//	   ^                        |
//	   +------------------------+  message/rfc822: its body begins with a header
//
// Whether a leaf needs encoding is known only at its end but said in its header, so the content is read twice: survey
// first, with plan empty, then the conversion.
type sevenBit struct {
	src  *bufio.Reader
	out  bytes.Buffer
	plan []bool // by leaf: it has 8-bit octets
	dry  bool   // survey: plan is being made
	err  error  // io.EOF at the end

	nest      []nesting // the multiparts around, outermost first
	inHeader  bool
	top       bool // the header is the message's own
	inner     bool // the header is that of a message/rfc822 inside, not of a part
	header    []byte
	midLine   bool // the last fragment did not end its line
	leaf      int  // index of the present or next leaf
	encoder   io.WriteCloser
	inLeaf    bool
	eol       bool // a CRLF of an encoded leaf that may belong to the boundary after it (RFC 2046 §5.1.1)
	encodable bool // the leaf's own label allows another encoding
	lineBreak bool // the encoding is base64, whose last line needs an end of its own
}

// nesting is one multipart around the present place.
type nesting struct {
	boundary string
	digest   bool // its parts are messages unless they say otherwise (RFC 2046 §5.1.5)
}

func newSevenBit(r io.Reader, plan []bool) *sevenBit {
	return &sevenBit{src: bufio.NewReaderSize(r, 4096), plan: plan, inHeader: true, top: true}
}

// surveySevenBit reads content and returns the plan for its conversion, or errNotConvertible.
func surveySevenBit(r io.Reader) ([]bool, error) {
	s := newSevenBit(r, nil)
	s.dry = true
	for s.err == nil {
		s.step()
		s.out.Reset()
	}
	if s.err != io.EOF {
		return nil, s.err
	}
	return s.plan, nil
}

// Read gives converted content.
func (s *sevenBit) Read(p []byte) (int, error) {
	for s.out.Len() == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.step()
	}
	return s.out.Read(p)
}

// step takes one line or fragment of an overlong line.
func (s *sevenBit) step() {
	line, err := s.src.ReadSlice('\n')
	begins := !s.midLine
	s.midLine = errors.Is(err, bufio.ErrBufferFull)
	if s.midLine {
		err = nil
	}
	if s.midLine && line[len(line)-1] == '\r' { // never cut a CRLF in two
		_ = s.src.UnreadByte()
		line = line[:len(line)-1]
	}
	if len(line) > 0 {
		err = errors.Join(s.take(line, begins), err)
	}
	if err == nil {
		return
	}
	if errors.Is(err, errNotConvertible) {
		s.err = errNotConvertible
		return
	}
	if s.err = err; errors.Is(err, io.EOF) {
		s.err = io.EOF
		if s.inHeader {
			err = s.endHeader()
		} else {
			err = s.endLeaf(false)
		}
		if err != nil {
			s.err = err
		}
	}
}

// take takes one fragment; begins says that it stands at the beginning of a line.
func (s *sevenBit) take(line []byte, begins bool) error {
	if hasBareEnd(line) {
		return errNotConvertible
	}
	if begins {
		if depth, last, ok := s.boundaryAt(line); ok {
			return s.crossBoundary(line, depth, last)
		}
	}
	if s.inHeader {
		return s.takeHeader(line, begins)
	}
	if !s.inLeaf { // preamble, epilogue, or a part that must stay as it is
		if smtp.HasEightBit(line) {
			return errNotConvertible
		}
		s.out.Write(line)
		return nil
	}
	return s.takeLeaf(line)
}

func (s *sevenBit) takeHeader(line []byte, begins bool) error {
	if smtp.HasEightBit(line) || len(s.header)+len(line) > maxPartHeader {
		return errNotConvertible
	}
	if begins && string(line) == "\r\n" {
		if err := s.endHeader(); err != nil {
			return err
		}
		s.out.WriteString("\r\n")
		return nil
	}
	s.header = append(s.header, line...)
	return nil
}

// takeLeaf passes a leaf's content on, encoded if the plan says so. The last CRLF is held back.
func (s *sevenBit) takeLeaf(line []byte) error {
	if s.dry {
		if smtp.HasEightBit(line) {
			s.plan[s.leaf] = true
			if !s.encodable {
				return errNotConvertible
			}
		}
		return nil
	}
	if s.encoder == nil {
		s.out.Write(line)
		return nil
	}
	if s.eol {
		if _, err := io.WriteString(s.encoder, "\r\n"); err != nil {
			return err
		}
	}
	line, s.eol = bytes.CutSuffix(line, []byte("\r\n"))
	_, err := s.encoder.Write(line)
	return err
}

// endLeaf ends an encoded leaf. Before a boundary the CRLF held back belongs to the boundary, else to the content.
func (s *sevenBit) endLeaf(boundary bool) error {
	encoder, eol := s.encoder, s.eol
	if s.inLeaf {
		s.leaf++
	}
	s.encoder, s.eol, s.inLeaf = nil, false, false
	if encoder == nil {
		return nil
	}
	if eol && !boundary {
		if _, err := io.WriteString(encoder, "\r\n"); err != nil {
			return err
		}
	}
	if err := encoder.Close(); err != nil {
		return err
	}
	if boundary && eol || !boundary && s.lineBreak {
		s.out.WriteString("\r\n")
	}
	return nil
}

// encode begins an encoded leaf.
func (s *sevenBit) encode(base64 bool) {
	s.lineBreak = base64
	if base64 {
		s.encoder = newBase64Lines(&s.out)
		return
	}
	s.encoder = quotedprintable.NewWriter(&s.out)
}

// boundaryAt finds the multipart whose boundary line begins here; inner ones first, but the end of an outer one ends
// all inside (RFC 2046 §5.1.2).
func (s *sevenBit) boundaryAt(line []byte) (depth int, last, ok bool) {
	if !bytes.HasPrefix(line, []byte("--")) {
		return 0, false, false
	}
	for depth = len(s.nest) - 1; depth >= 0; depth-- {
		rest, found := bytes.CutPrefix(line[2:], []byte(s.nest[depth].boundary))
		if !found {
			continue
		}
		rest, last = bytes.CutPrefix(rest, []byte("--"))
		if len(bytes.TrimRight(rest, " \t\r\n")) == 0 {
			return depth, last, true
		}
	}
	return 0, false, false
}

// crossBoundary ends what was open and begins the next part, or the epilogue.
func (s *sevenBit) crossBoundary(line []byte, depth int, last bool) error {
	var err error
	if s.inHeader {
		err = s.endHeader()
	}
	err = errors.Join(err, s.endLeaf(true))
	s.out.Write(line)
	s.nest = s.nest[:depth+1]
	if last {
		s.nest = s.nest[:depth]
	}
	s.inHeader, s.inner = !last, false
	return err
}

// hasBareEnd reports a CR or LF that is not part of a CRLF; fragments never end inside one.
func hasBareEnd(line []byte) bool {
	cr := bytes.IndexByte(line, '\r')
	lf := bytes.IndexByte(line, '\n')
	return cr >= 0 && cr != len(line)-2 || lf >= 0 && cr < 0 || cr >= 0 && lf < 0
}

package smtp

import "errors"

// ErrBareLineEnd says that content has a CR or LF that is not part of a CRLF. Such content cannot go through DATA
// (RFC 5321 §2.3.8): a peer that reads a bare LF as a line end would see other lines than we do, and a dot among them.
var ErrBareLineEnd = errors.New("content has a CR or LF outside a CRLF")

// DotEncoder encodes content for DATA (RFC 5321 §4.5.2): a line that begins with a dot gets another one. The zero value
// stands at the beginning of a content. It keeps no bytes: what Append was given is in its result.
type DotEncoder struct {
	state dotState
}

type dotState uint8

const (
	lineStart dotState = iota
	inLine
	afterCR
)

// Append appends the encoded form of the next piece of content. Pieces may be cut anywhere. On ErrBareLineEnd nothing of
// the content may be finished: the connection must be closed.
func (e *DotEncoder) Append(dst, src []byte) ([]byte, error) {
	from := 0 // src[from:i] is not yet appended
	for i, c := range src {
		switch {
		case e.state == afterCR && c != '\n' || c == '\n' && e.state != afterCR:
			return dst, ErrBareLineEnd
		case c == '\n':
			e.state = lineStart
		case c == '\r':
			e.state = afterCR
		case c == '.' && e.state == lineStart:
			dst = append(append(dst, src[from:i]...), '.')
			from = i
			e.state = inLine
		default:
			e.state = inLine
		}
	}
	return append(dst, src[from:]...), nil
}

// Finish appends the end of data, completing the last line if it lacks its CRLF, and returns to the beginning.
func (e *DotEncoder) Finish(dst []byte) ([]byte, error) {
	state := e.state
	e.state = lineStart
	switch state {
	case afterCR:
		return dst, ErrBareLineEnd
	case inLine:
		dst = append(dst, '\r', '\n')
	}
	return append(dst, '.', '\r', '\n'), nil
}

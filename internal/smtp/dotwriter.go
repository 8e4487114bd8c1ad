package smtp

import (
	"bytes"
	"errors"
)

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

// Append appends the encoded form of the next piece of content. Pieces may be cut anywhere. On ErrBareLineEnd nothing
// of the content may be finished: the connection must be closed.
func (e *DotEncoder) Append(dst, src []byte) ([]byte, error) {
	for len(src) > 0 {
		if e.state == afterCR {
			if src[0] != '\n' {
				return dst, ErrBareLineEnd
			}
			dst, src, e.state = append(dst, '\n'), src[1:], lineStart
			continue
		}
		if e.state == lineStart && src[0] == '.' {
			dst = append(dst, '.')
		}
		n, state, ok := scanLine(src)
		if !ok {
			return dst, ErrBareLineEnd
		}
		dst, src, e.state = append(dst, src[:n]...), src[n:], state
	}
	return dst, nil
}

// scanLine returns how many octets of src belong to the line it begins in, and where that leaves the encoder. ok is
// false if there is a CR or LF on its own.
func scanLine(src []byte) (n int, state dotState, ok bool) {
	lf := bytes.IndexByte(src, '\n')
	if lf >= 0 {
		src = src[:lf]
	}
	cr := bytes.IndexByte(src, '\r')
	switch {
	case cr >= 0 && cr < len(src)-1 || lf >= 0 && cr < 0:
		return 0, inLine, false
	case lf >= 0:
		return lf + 1, lineStart, true
	case cr >= 0:
		return len(src), afterCR, true
	}
	return len(src), inLine, true
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

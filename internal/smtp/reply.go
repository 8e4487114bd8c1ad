package smtp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrReply is wrapped by every error of ParseReply.
var ErrReply = errors.New("not an SMTP reply")

// Reply is one SMTP reply (RFC 5321 §4.2). The zero Reply is no reply.
type Reply struct {
	Code int
	// Status is the enhanced code of RFC 3463, "5.7.1", or "" where there is none.
	Status string
	// Lines is the text, one entry a line, without code and status. Text of a peer is hostile: show it through
	// Printable.
	Lines []string
}

// NewReply is a reply of one line.
func NewReply(code int, status, text string) *Reply {
	return &Reply{Code: code, Status: status, Lines: []string{text}}
}

// maxReplyText bounds the text of a line we write: 512 octets of RFC 5321 §4.5.3.1.5 less code, status and CRLF.
const maxReplyText = 490

// AppendTo appends the wire form: every line with code and status, all but the last with a hyphen, each ending in CRLF.
// Text that could break the form (control characters, line ends) is escaped and overlong text is cut.
func (r Reply) AppendTo(b []byte) []byte {
	last := len(r.Lines) - 1
	for i, text := range r.Lines {
		b = r.appendLine(b, text, i == last)
	}
	if last < 0 {
		b = r.appendLine(b, "", true)
	}
	return b
}

func (r Reply) appendLine(b []byte, text string, last bool) []byte {
	b = strconv.AppendInt(b, int64(r.Code), 10)
	if last {
		b = append(b, ' ')
	} else {
		b = append(b, '-')
	}
	if r.Status != "" {
		b = append(append(b, r.Status...), ' ')
	}
	b = append(b, Printable(text, maxReplyText)...)
	if b[len(b)-1] == ' ' { // an empty text: the code alone is complete
		b = b[:len(b)-1]
	}
	return append(b, '\r', '\n')
}

// Positive reports a 2xx reply.
func (r Reply) Positive() bool { return r.Code/100 == 2 }

// Temporary reports a 4xx reply.
func (r Reply) Temporary() bool { return r.Code/100 == 4 }

// Permanent reports a 5xx reply.
func (r Reply) Permanent() bool { return r.Code/100 == 5 }

// Text returns the lines joined by a blank, as they came.
func (r Reply) Text() string { return strings.Join(r.Lines, " ") }

// String returns the reply on one line, escaped and bounded, for people.
func (r Reply) String() string {
	s := strconv.Itoa(r.Code)
	if r.Status != "" {
		s += " " + r.Status
	}
	if len(r.Lines) > 0 {
		s += " " + Printable(r.Text(), 1000)
	}
	return s
}

// ParseReplyLine reads one line of a reply, without its line end. more says that another line follows. The text is a
// part of line. Codes of RFC 5321 §4.2.1 begin with 2 to 5; a line of three digits alone is complete.
func ParseReplyLine(line []byte) (code int, more bool, text []byte, err error) {
	if len(line) < 3 || !isDigit(line[0]) || !isDigit(line[1]) || !isDigit(line[2]) {
		return 0, false, nil, fmt.Errorf("%w: the line does not begin with three digits", ErrReply)
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if code < 200 || code > 599 {
		return 0, false, nil, fmt.Errorf("%w: the code is outside 200 to 599", ErrReply)
	}
	if len(line) == 3 {
		return code, false, nil, nil
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, nil, fmt.Errorf("%w: neither blank nor hyphen follows the code", ErrReply)
	}
	return code, line[3] == '-', line[4:], nil
}

// CutStatus splits an enhanced code from the text of a reply line. A code of another class than the reply's is no
// status (RFC 2034 §4): it stays in the text.
func CutStatus(code int, text string) (status, rest string) {
	status, rest, _ = strings.Cut(text, " ")
	if !isStatus(status) || int(status[0]-'0') != code/100 {
		return "", text
	}
	return status, rest
}

// isStatus reports whether s has the form of RFC 3463 §2: class 2, 4 or 5, then two numbers of one to three digits.
func isStatus(s string) bool {
	if len(s) < 5 || len(s) > 9 || s[0] != '2' && s[0] != '4' && s[0] != '5' || s[1] != '.' {
		return false
	}
	subject, detail, ok := strings.Cut(s[2:], ".")
	return ok && isShortNumber(subject) && isShortNumber(detail)
}

func isShortNumber(s string) bool {
	if len(s) == 0 || len(s) > 3 {
		return false
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// ParseReply reads a whole reply from its lines, given without line ends.
func ParseReply(lines ...string) (Reply, error) {
	var r Reply
	for i, line := range lines {
		code, more, text, err := ParseReplyLine([]byte(line))
		if err != nil {
			return Reply{}, err
		}
		if i > 0 && code != r.Code {
			return Reply{}, fmt.Errorf("%w: its lines have different codes", ErrReply)
		}
		if more == (i == len(lines)-1) {
			return Reply{}, fmt.Errorf("%w: its last line is not the one without a hyphen", ErrReply)
		}
		r.Code = code
		r.AddLine(string(text))
	}
	if r.Code == 0 {
		return Reply{}, fmt.Errorf("%w: no line", ErrReply)
	}
	return r, nil
}

// AddLine appends one line of text, whose status is cut off. The status of the reply is the first line's; a reply whose
// lines disagree has the last one's text as it came.
func (r *Reply) AddLine(text string) {
	status, rest := CutStatus(r.Code, text)
	if len(r.Lines) == 0 {
		r.Status = status
	} else if status != r.Status {
		rest = text
	}
	r.Lines = append(r.Lines, rest)
}

package smtpclient

import (
	"encoding/base64"
	"io"
	"mime"
	"strings"
)

// endHeader decides what the entity is whose header is complete, and puts the header out with its labels corrected.
func (s *sevenBit) endHeader() error {
	f, err := parsePart(s.header)
	if err != nil {
		return err
	}
	top := s.top
	s.inHeader, s.top = false, false
	kind, params := f.kind(!s.inner && len(s.nest) > 0 && s.nest[len(s.nest)-1].digest)
	family, _, _ := strings.Cut(kind, "/")
	switch {
	case kind == "":
		return errNotConvertible
	case kind == "multipart/signed" || kind == "multipart/encrypted": // what is signed must not change
		s.putHeader(f, "")
	case family == "multipart":
		if params["boundary"] == "" || len(s.nest) == maxDepth {
			return errNotConvertible
		}
		s.nest = append(s.nest, nesting{params["boundary"], kind == "multipart/digest"})
		s.putHeader(f, "7bit")
	case kind == "message/rfc822":
		s.putHeader(f, "7bit")
		s.inHeader, s.inner = true, true
	case family == "message": // other kinds must not be encoded (RFC 2046 §5.2)
		s.putHeader(f, "")
	default:
		return s.beginLeaf(f, family == "text", top)
	}
	return nil
}

// beginLeaf puts out the header of a leaf with the label of the encoding it will have.
func (s *sevenBit) beginLeaf(f part, text, top bool) error {
	s.inLeaf = true
	if s.dry {
		// A leaf that calls itself encoded and has 8-bit octets lies; nobody knows what it means.
		s.encodable = f.encoding == "7bit" || f.encoding == "8bit" || f.encoding == "binary"
		if len(s.plan) == maxParts {
			return errNotConvertible
		}
		s.header, s.plan = s.header[:0], append(s.plan, false)
		return nil
	}
	if !s.plan[s.leaf] {
		s.putHeader(f, "7bit")
		return nil
	}
	if top && !f.mime { // RFC 1428 §3: 8-bit content that never said what it is
		s.out.WriteString("MIME-Version: 1.0\r\n")
		if f.contentType == "" {
			s.out.WriteString("Content-Type: text/plain; charset=unknown-8bit\r\n")
		}
	}
	label := "quoted-printable"
	if !text {
		label = "base64"
	}
	s.putHeader(f, label)
	s.encode(!text)
	return nil
}

// putHeader puts out the header collected. A label other than "" replaces what the part says about its encoding;
// "7bit" only where it says 8bit or binary.
func (s *sevenBit) putHeader(f part, label string) {
	replace := label != "" && (label != "7bit" || f.encoding == "8bit" || f.encoding == "binary")
	if !replace {
		s.out.Write(s.header)
	} else {
		s.out.Write(s.header[:f.from])
		s.out.WriteString("Content-Transfer-Encoding: " + label + "\r\n")
		s.out.Write(s.header[f.to:])
	}
	s.header = s.header[:0]
}

// part is what a header says that matters here. header[from:to] is the encoding's field, or the place to put it.
type part struct {
	mime        bool
	contentType string // unfolded, "" when absent
	encoding    string // lower case, "7bit" when absent
	from, to    int
}

// parsePart reads a header section without its ending empty line. Fields that matter must not stand twice.
func parsePart(header []byte) (part, error) {
	f := part{encoding: "7bit", from: len(header), to: len(header)}
	seen := map[string]bool{}
	for at := 0; at < len(header); {
		end := fieldEnd(header, at)
		name, value, _ := strings.Cut(string(header[at:end]), ":")
		name = strings.ToLower(strings.TrimRight(name, " \t"))
		value = strings.TrimSpace(strings.ReplaceAll(value, "\r\n", ""))
		switch name {
		case "content-type":
			f.contentType = value
		case "content-transfer-encoding":
			f.encoding, f.from, f.to = strings.ToLower(uncomment(value)), at, end
		case "mime-version":
			f.mime = true
		}
		if strings.HasPrefix(name, "content-t") && seen[name] {
			return f, errNotConvertible
		}
		seen[name] = true
		at = end
	}
	return f, nil
}

// fieldEnd returns where the field that begins at ends, folds included.
func fieldEnd(header []byte, at int) int {
	for i := at; i < len(header); i++ {
		if header[i] == '\n' && (i+1 == len(header) || header[i+1] != ' ' && header[i+1] != '\t') {
			return i + 1
		}
	}
	return len(header)
}

// uncomment takes the first word: what follows can only be a comment.
func uncomment(value string) string {
	word, _, _ := strings.Cut(value, "(")
	return strings.TrimSpace(word)
}

// kind returns the media type in lower case, with its default; "" for a composite type that cannot be understood.
func (f part) kind(digest bool) (string, map[string]string) {
	if f.contentType == "" {
		if digest {
			return "message/rfc822", nil
		}
		return "text/plain", nil
	}
	kind, params, err := mime.ParseMediaType(f.contentType)
	if err == nil {
		return kind, params
	}
	lower := strings.ToLower(f.contentType)
	if strings.HasPrefix(lower, "multipart") || strings.HasPrefix(lower, "message") {
		return "", nil
	}
	return "application/octet-stream", nil // base64 is right for anything
}

// base64Lines encodes to base64 in lines of 76 characters (RFC 2045 §6.8).
type base64Lines struct {
	io.WriteCloser
}

func newBase64Lines(w io.Writer) io.WriteCloser {
	return base64Lines{base64.NewEncoder(base64.StdEncoding, &wrapped{w: w})}
}

// wrapped breaks what passes through it into lines.
type wrapped struct {
	w   io.Writer
	col int
}

// Write writes p, with a CRLF after every 76 octets that more octets follow.
func (l *wrapped) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if l.col == 76 {
			if _, err := io.WriteString(l.w, "\r\n"); err != nil {
				return 0, err
			}
			l.col = 0
		}
		n := min(76-l.col, len(rest))
		if _, err := l.w.Write(rest[:n]); err != nil {
			return 0, err
		}
		l.col += n
		rest = rest[n:]
	}
	return len(p), nil
}

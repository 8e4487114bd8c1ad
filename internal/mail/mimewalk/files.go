package mimewalk

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// files finds files that stand in text as it comes: uuencode and its base64 (POSIX), yEnc and BinHex. They
// are attachments to programs that know them, also where the text is within quoted-printable or base64.
type files struct {
	line []byte // of the line that has not ended, as much as matters
}

// maxBegin is how much of a line is looked at.
const maxBegin = 1000

// look takes the next octets.
func (f *files) look(w *Walker, data []byte) {
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			f.line = append(f.line, data[:min(len(data), maxBegin-len(f.line))]...)
			return
		}
		line := data[:end]
		if len(f.line) > 0 {
			line = append(f.line, line[:min(len(line), maxBegin-len(f.line))]...)
			f.line = line[:0]
		}
		data = data[end+1:]
		for len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			line = line[1:]
		}
		if len(line) > 0 && (line[0] == 'b' || line[0] == '=' || line[0] == '(') {
			fileIn(w, line[:min(len(line), maxBegin)])
		}
	}
}

// fileIn notes the file that a line begins.
func fileIn(w *Walker, line []byte) {
	name := ""
	switch text := string(line); {
	case strings.HasPrefix(text, "begin"):
		name = uuencoded(strings.Fields(text))
	case strings.HasPrefix(text, "=ybegin "):
		_, name, _ = strings.Cut(text, " name=")
	case strings.HasPrefix(text, "(This file must be converted with BinHex"):
		w.doubtAttachments("has a file in BinHex, which is not looked into")
	}
	if name = strings.TrimSpace(name); name != "" {
		h := &head{kind: "application/octet-stream", names: []string{strings.ToValidUTF8(name, "\uFFFD")}}
		h.look(w)
	}
}

// uuencoded is the name of a file that the words of a line begin, "" for none.
func uuencoded(words []string) string {
	if len(words) < 3 || len(words[1]) < 3 || len(words[1]) > 4 || strings.Trim(words[1], "01234567") != "" {
		return ""
	}
	name := strings.Join(words[2:], " ")
	switch words[0] {
	case "begin", "begin-base64":
		return name
	case "begin-encoded", "begin-base64-encoded": // the name is in base64
		decoded, _ := base64.StdEncoding.DecodeString(name)
		return string(decoded)
	}
	return ""
}

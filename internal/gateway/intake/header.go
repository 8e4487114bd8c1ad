package intake

import (
	"bytes"

	"postern/internal/mail"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
)

// headerScan follows a message as it streams by: it finds the end of the header section and keeps the section's
// beginning, as much of it as can be judged. The stamp goes through it first, so that rules see what is stored.
type headerScan struct {
	kept     []byte // at most mail.MaxHeaderSize and a line
	size     int    // octets of the section so far, the stamp's included
	stamped  int    // of these, the stamp's
	matched  int    // octets of CRLF CRLF seen last
	done     bool   // the empty line was seen
	eightBit bool

	memory *smtpserver.Memory // what the section takes from when it grows; nil is no bound
	taken  int
}

// What a header section holds in memory is its octets while it comes in, and then a copy of them with fieldWeight for
// each line. freeHeader of the first and freeParsed of the second each message has, whatever others hold; more is asked
// for in steps of headerStep.
const (
	freeHeader  = 16 << 10
	freeParsed  = 32 << 10
	headerStep  = 4 << 10
	fieldWeight = 48
)

const emptyLine = "\r\n\r\n"

// stamp takes the Received line. What follows begins on a new line, so an empty one ends the section at once.
func (h *headerScan) stamp(line []byte) {
	h.kept = append(h.kept, line...)
	h.size, h.stamped, h.matched = len(line), len(line), 2
	h.eightBit = smtp.HasEightBit(line)
}

// write takes the next octets of the content. false: there is no memory to keep them just now, and what is not kept
// cannot be judged.
func (h *headerScan) write(p []byte) bool {
	if h.done {
		return true
	}
	p = p[:h.find(p)]
	h.size += len(p)
	h.eightBit = h.eightBit || smtp.HasEightBit(p)
	if room := mail.MaxHeaderSize + 1000 - len(h.kept); room > 0 {
		return h.keep(p[:min(room, len(p))])
	}
	return true
}

func (h *headerScan) keep(p []byte) bool {
	if !h.reach(len(h.kept) + len(p)) {
		return false
	}
	h.kept = append(h.kept, p...)
	return true
}

// reach takes memory until so many octets may be held.
func (h *headerScan) reach(n int) bool {
	for h.memory != nil && n > freeHeader+h.taken {
		if !h.memory.Take(headerStep) {
			return false
		}
		h.taken += headerStep
	}
	return true
}

// parse makes the header of what was kept, which is let go. false: there is no memory for it just now.
func (h *headerScan) parse() (mail.Header, bool) {
	if !h.reach(len(h.kept) + fieldWeight*bytes.Count(h.kept, []byte("\n")) - freeParsed + freeHeader) {
		return mail.Header{}, false
	}
	out := mail.ParseHeader(h.kept)
	h.kept = nil
	return out, true
}

// release gives back what was taken. What was kept must not be used after it.
func (h *headerScan) release() {
	if h.taken > 0 {
		h.memory.Give(h.taken)
	}
	h.taken, h.kept = 0, nil
}

// find returns how many octets of p belong to the section.
func (h *headerScan) find(p []byte) int {
	for i, c := range p {
		switch {
		case c == emptyLine[h.matched]:
			h.matched++
		case c == '\r':
			h.matched = 1
		default:
			h.matched = 0
		}
		if h.matched == len(emptyLine) {
			h.done = true
			return i + 1
		}
	}
	return len(p)
}

// continues reports whether content begins with white space. Its first line would then be read as part of our stamp.
func continues(content []byte) bool {
	return bytes.HasPrefix(content, []byte(" ")) || bytes.HasPrefix(content, []byte("\t"))
}

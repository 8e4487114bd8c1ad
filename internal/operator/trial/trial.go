// Package trial reads a message that somebody has at hand, as a file or as pasted header lines, as a question to the
// rules: who sent it, to whom, how large it is, and its header. A mail program keeps no envelope. What a message says
// of its own sender and recipients is what they most likely were, and Notes says what was taken from where, so that who
// asks can say it himself instead.
//
// Ground room.
package trial

import (
	"bytes"
	"fmt"
	"strings"

	"postern/internal/mail"
)

// MostRecipients is how many recipients are taken from a message.
const MostRecipients = 200

// Message is what a message shows of itself. The zero value shows nothing.
type Message struct {
	From string // the sender as in an envelope, "<>" for the null sender, "" where none was found
	To   []string
	// Header is its header section, or what was given where there is no other part.
	Header []byte
	Size   int64 // of the content in bytes; 0 where only a header section was given

	from, to, rest []string // sentences, see Notes
}

// Notes say in sentences what could not be read and, where these were asked for, where From and To were found.
func (m *Message) Notes(from, to bool) (out []string) {
	if from {
		out = append(out, m.from...)
	}
	if to {
		out = append(out, m.to...)
	}
	return append(out, m.rest...)
}

// Read reads a message, or its header section alone. It never fails: what it does not find is "".
func Read(content []byte) Message {
	content = bytes.TrimLeft(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")), "\r\n")
	if first, rest, _ := bytes.Cut(content, []byte("\n")); isMboxLine(first) {
		content = rest
	}
	h := mail.ParseHeader(content)
	m := Message{Header: content[:h.Size()]}
	if h.Size() < len(content) {
		m.Size = int64(len(content))
	}
	m.sender(&h)
	m.recipients(&h)
	if h.Truncated() {
		m.rest = append(m.rest, "Its header is too large to be read in full, which counts as a match.")
	}
	return m
}

// isMboxLine reports whether a line begins a message in an mbox file, and is not a field From with a blank before its
// colon (RFC 5322 §4.5).
func isMboxLine(line []byte) bool {
	rest, is := bytes.CutPrefix(line, []byte("From "))
	return is && !bytes.HasPrefix(bytes.TrimLeft(rest, " \t"), []byte(":"))
}

// sender takes the envelope's sender as it was noted at the end of a way, else the author.
func (m *Message) sender(h *mail.Header) {
	for _, name := range []string{"Return-Path", "Sender", "From"} {
		for _, f := range h.All(name) {
			list, _ := f.Mailboxes()
			switch {
			case len(list) > 0:
				m.From = list[0].String()
			case name == "Return-Path" && strings.Join(strings.Fields(f.Value()), "") == "<>":
				m.From = "<>"
			default:
				continue
			}
			m.from = append(m.from, "The sender is taken from its field "+name+".")
			return
		}
	}
	m.from = append(m.from, "It does not say who sent it.")
}

// recipients takes whom the message names.
func (m *Message) recipients(h *mail.Header) {
	seen, from, unread, more := map[mail.Address]bool{}, []string{}, 0, 0
	for _, name := range []string{"To", "Cc", "Bcc"} {
		found := false
		for _, f := range h.All(name) {
			list, left := f.Mailboxes()
			unread += left
			for _, a := range list {
				switch {
				case seen[a]:
				case len(m.To) >= MostRecipients:
					more++
				default:
					m.To, seen[a], found = append(m.To, a.String()), true, true
				}
			}
		}
		if found {
			from = append(from, name)
		}
	}
	switch len(from) {
	case 0:
		m.to = append(m.to, "It names no recipient.")
	default:
		m.to = append(m.to, fmt.Sprintf("The recipients are taken from its %s. Blind copies are in no header.",
			strings.Join(from, ", ")))
	}
	if unread > 0 {
		m.to = append(m.to, fmt.Sprintf("%d of its recipients could not be read.", unread))
	}
	if more > 0 {
		m.to = append(m.to, fmt.Sprintf("%d more recipients were left out.", more))
	}
}

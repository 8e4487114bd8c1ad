package mail

import (
	"slices"
	"strings"
)

// What a Digest keeps at most: bytes of fields, and names.
const (
	MaxDigest      = 2 << 10
	MaxDigestNames = 32
)

// Digest is some fields of a header, kept when the message is gone. Names are the fields that are kept in full, in
// lower case: one that stands there and not in Text is not in the message. nil is a digest of nothing.
type Digest struct {
	Names []string `json:"names"`
	Text  []byte   `json:"text,omitempty"` // as it stood in the message, octets of any charset
}

// Digest keeps the fields of some names, in lower case, each in full or not at all, as many as it may; nil for none. Of
// a header that was too large to be read in full nothing is kept.
func (h Header) Digest(names []string) *Digest {
	if len(names) == 0 || h.truncated {
		return nil
	}
	texts := map[string]string{}
	for _, name := range names[:min(len(names), MaxDigestNames)] {
		texts[name] = ""
	}
	for _, f := range h.fields {
		name := strings.ToLower(f.Name)
		if text, wanted := texts[name]; wanted && len(text) <= MaxDigest {
			texts[name] = text + f.Name + ":" + f.raw + "\r\n"
		}
	}
	d := &Digest{}
	for _, name := range names[:min(len(names), MaxDigestNames)] {
		if text := texts[name]; len(d.Text)+len(text) <= MaxDigest {
			d.Names, d.Text = append(d.Names, name), append(d.Text, text...)
		}
	}
	if len(d.Names) == 0 {
		return nil
	}
	return d
}

// Header is the header as far as it was kept.
func (d *Digest) Header() Header {
	if d == nil {
		return Header{}
	}
	return ParseHeader(d.Text)
}

// Knows reports whether all fields of some names, in lower case, were kept.
func (d *Digest) Knows(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return d == nil || !slices.Contains(d.Names, name) })
}

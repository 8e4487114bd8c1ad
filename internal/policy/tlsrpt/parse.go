package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"unicode"
)

// Reading is a document that was read, and what was odd about it.
type Reading struct {
	Report Report
	// Oddities are sentences about what is not as RFC 8460 has it, without a full stop; no more than ten.
	Oddities []string
}

// Parse reads a document, compressed with gzip or not. The error is a *Fault: it is none, or cut off, or out of
// bounds. It keeps nothing of data, and its work is linear in what is unpacked.
func Parse(data []byte) (Reading, error) {
	r := &reader{seen: map[[sha256.Size]byte]bool{}}
	data, err := r.unpack(data)
	if err != nil {
		return Reading{}, err
	}
	data = plain(data)
	if fault := recognise(data); fault != nil {
		return Reading{}, fault
	}
	if err := r.document(data); err != nil {
		return Reading{}, err
	}
	return Reading{r.report, r.odd}, nil
}

// maxLayers is how often a document may be compressed: some are twice, once by the program and once by its HTTP
// client.
const maxLayers = 2

// unpack undoes gzip, whatever the media type says.
func (r *reader) unpack(data []byte) ([]byte, error) {
	for layer := 0; ; layer++ {
		if len(data) > MaxSize {
			return nil, faultf("the report is larger than %d bytes", MaxSize)
		}
		if !zipped(data) {
			return data, nil
		}
		if layer == maxLayers {
			return nil, faultf("the report is compressed more than %d times", maxLayers)
		}
		out, err := gunzip(data)
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			r.odd.add("the compressed file is cut off")
		case err != nil:
			return nil, faultf("the compressed file is damaged")
		}
		data = out
	}
}

func zipped(data []byte) bool { return bytes.HasPrefix(data, []byte{0x1f, 0x8b}) }

// gunzip reads the first member of a gzip file; what follows it is not looked at.
func gunzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return io.ReadAll(io.LimitReader(z, MaxSize+1))
}

// plain is a text without a byte order mark and blanks in front, and with blanks for control characters: JSON allows
// none but blanks, and programs that forget to escape a line end write one inside a text.
func plain(data []byte) []byte {
	data = bytes.TrimLeftFunc(data, func(c rune) bool { return unicode.IsSpace(c) || c == '\ufeff' || c == '\u200b' })
	if bytes.IndexFunc(data, unicode.IsControl) < 0 {
		return data
	}
	out := bytes.Clone(data)
	for i, c := range out {
		if c < ' ' {
			out[i] = ' '
		}
	}
	return out
}

// recognise says what a text is that is no JSON at all.
func recognise(data []byte) *Fault {
	switch {
	case len(data) == 0:
		return faultf("the report is empty")
	case data[0] == '{', data[0] == '[':
		return nil
	case data[0] == '<':
		return faultf("it is XML or a web page, as DMARC reports are, and no TLS report")
	case bytes.HasPrefix(data, []byte("PK")):
		return faultf("it is a ZIP file, want gzip or plain JSON")
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return faultf("it is written in UTF-16, want UTF-8")
	}
	return faultf("it is no JSON: it begins with %s", said(string(data[:min(len(data), maxSaid)])))
}

// reader reads one document token by token, so that no more of it is held than what is kept.
type reader struct {
	report  Report
	odd     oddities
	dec     *json.Decoder
	entries int                        // of MaxEntries
	known   bool                       // a field of a report was there
	lone    *readPolicy                // a policy that stands in the report itself
	seen    map[[sha256.Size]byte]bool // policies, to find those that stand there twice
}

func (r *reader) document(data []byte) error {
	r.dec = json.NewDecoder(bytes.NewReader(data))
	r.dec.UseNumber()
	first := true
	err := r.value(func(t json.Token) error {
		return r.list(t, func(t json.Token) error {
			if !first {
				r.odd.add("there is more than one report, and the first counts")
				return r.skip(t)
			}
			first = false
			return r.object(t, "report", r.reportField)
		})
	})
	switch {
	case err != nil:
		return err
	case !r.known:
		return faultf("it is JSON and no TLS report: it has neither policies nor an organization nor an ID")
	}
	if rest := data[r.dec.InputOffset():]; len(bytes.TrimSpace(rest)) > 0 {
		r.odd.add("more stands behind the report, and is passed over")
	}
	if r.lone != nil {
		r.odd.add("a policy stands in the report itself, want a list of policies")
		r.keep(*r.lone)
	}
	r.complete()
	return nil
}

// complete tells what is missing or contradicts itself.
func (r *reader) complete() {
	if r.report.Start.IsZero() || r.report.End.IsZero() {
		r.odd.add("the report does not say from when and until when it counts")
	} else if r.report.End.Before(r.report.Start) {
		r.odd.add("the report ends before it begins")
	}
	if r.report.ID == "" {
		r.odd.add("the report has no ID")
	}
	if len(r.report.Policies) == 0 {
		r.odd.add("the report has no policies")
	}
}

// next returns the next token.
func (r *reader) next() (json.Token, error) {
	t, err := r.dec.Token()
	switch {
	case err == nil:
		return t, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, faultf("the report is cut off: it ends in the middle of its JSON")
	}
	return nil, faultf("the report is no JSON from octet %d on", r.dec.InputOffset())
}

// value hands the next value's first token on.
func (r *reader) value(read func(json.Token) error) error {
	t, err := r.next()
	if err != nil {
		return err
	}
	return read(t)
}

// object reads an object, its fields by names of letters alone. null is an object without fields.
func (r *reader) object(t json.Token, what string, field func(name string, t json.Token) error) error {
	if t == nil {
		return nil
	}
	if t != json.Delim('{') {
		r.odd.add("there is no object where a %s should be", what)
		return r.skip(t)
	}
	for r.dec.More() {
		key, err := r.next()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if err := r.value(func(t json.Token) error { return field(letters(name), t) }); err != nil {
			return err
		}
	}
	_, err := r.next()
	return err
}

// list reads a list; any other value but null is a list of one.
func (r *reader) list(t json.Token, each func(json.Token) error) error {
	if t == nil {
		return nil
	}
	if t != json.Delim('[') {
		return each(t)
	}
	for r.dec.More() {
		if err := r.value(each); err != nil {
			return err
		}
	}
	_, err := r.next()
	return err
}

// maxDepth is how deeply what is passed over may be nested.
const maxDepth = 100

// skip passes over a value whose first token is t.
func (r *reader) skip(t json.Token) error {
	depth := 0
	for {
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
		if depth > maxDepth {
			return faultf("the report is nested too deeply")
		}
		var err error
		if t, err = r.next(); err != nil {
			return err
		}
	}
}

// entry counts one of what there may be MaxEntries of.
func (r *reader) entry() error {
	r.entries++
	if r.entries > MaxEntries {
		return faultf("the report has more than %d entries", MaxEntries)
	}
	return nil
}

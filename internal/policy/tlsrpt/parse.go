package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"unicode"
)

// Reading is a document that was read, and what was odd about it.
type Reading struct {
	Report Report
	// Oddities are sentences about what is not as RFC 8460 has it, without a full stop; no more than ten.
	Oddities []string
}

// Parse is ParseAll of a document that should have one report in it; of several it returns the first.
func Parse(data []byte) (Reading, error) {
	all, err := ParseAll(data)
	if err != nil {
		return Reading{}, err
	}
	if len(all) > 1 {
		odd := oddities(all[0].Oddities)
		odd.add("there is more than one report, and the first counts")
		all[0].Oddities = odd
	}
	return all[0], nil
}

// ParseAll reads a document, compressed with gzip or not. RFC 8460 §4 has one report in it; where there is a list of
// them, or one stands behind the other, all are returned, at least one. The error is a *Fault: it is none, or cut off,
// or out of bounds. It keeps nothing of data, and its work is linear in what is unpacked.
func ParseAll(data []byte) ([]Reading, error) {
	r := &reader{}
	data, err := r.unpack(data)
	if err != nil {
		return nil, err
	}
	data = plain(data)
	if fault := recognise(data); fault != nil {
		return nil, fault
	}
	if err := r.document(data); err != nil {
		return nil, err
	}
	return r.all(), nil
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
			r.general.add("the compressed file is cut off")
		case err != nil && len(out) == 0:
			return nil, faultf("the compressed file is damaged")
		case err != nil:
			r.general.add("the compressed file is damaged behind what could be read")
		}
		data = out
	}
}

func zipped(data []byte) bool { return bytes.HasPrefix(data, []byte{0x1f, 0x8b}) }

// gunzip reads all members of a gzip file (RFC 1952 §2.2), one behind the other; what follows them and is none is not
// looked at. Of a first member that is damaged it returns nothing, of a further one what came before.
func gunzip(data []byte) (out []byte, err error) {
	in := bytes.NewReader(data)
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	for {
		z.Multistream(false)
		more, err := io.ReadAll(io.LimitReader(z, int64(MaxSize+1-len(out))))
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF):
			return append(out, more...), err
		case err != nil:
			return out, err
		}
		if len(out) == 0 {
			out = more // nearly always the only one
		} else {
			out = append(out, more...)
		}
		if len(out) > MaxSize || !zipped(data[len(data)-in.Len():]) {
			return out, nil
		}
		if err := z.Reset(in); err != nil {
			return out, err
		}
	}
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

// maxReports is how many reports one document, or one mail, may hold.
const maxReports = 20

// reader reads one document token by token, so that no more of it is held than what is kept.
type reader struct {
	found   []Reading
	general oddities // of the document, whatever is in it
	dec     *json.Decoder
	entries int // of MaxEntries
	reading
}

// reading is one report under way.
type reading struct {
	report Report
	odd    oddities
	known  bool                       // a field of a report was there
	lone   *readPolicy                // a policy that stands in the report itself
	seen   map[[sha256.Size]byte]bool // policies, to find those that stand there twice
}

// document reads what stands one behind the other, each a report or a list of reports.
func (r *reader) document(data []byte) error {
	r.dec = json.NewDecoder(bytes.NewReader(data))
	r.dec.UseNumber()
	for {
		before := len(r.found)
		err := r.value(func(t json.Token) error { return r.list(t, r.one) })
		rest := bytes.TrimSpace(data[r.dec.InputOffset():])
		switch {
		case err != nil && before == 0:
			return err
		case len(r.found) > maxReports:
			return faultf("there are more than %d reports in it", maxReports)
		case len(r.found) == 0:
			return faultf("it is JSON and no TLS report: it has neither policies nor an organization nor an ID")
		case err != nil, len(rest) > 0 && rest[0] != '{' && rest[0] != '[':
			r.general.add("more stands behind the report, and is passed over")
			return nil
		case len(rest) == 0:
			return nil
		}
	}
}

// one reads one report of those in the document.
func (r *reader) one(t json.Token) error {
	if len(r.found) > maxReports {
		return r.skip(t)
	}
	r.reading = reading{seen: map[[sha256.Size]byte]bool{}}
	if err := r.object(t, "report", r.reportField); err != nil {
		return err
	}
	if !r.known {
		return nil
	}
	if r.lone != nil {
		r.odd.add("a policy stands in the report itself, want a list of policies")
		r.keep(*r.lone)
	}
	r.complete()
	r.found = append(r.found, Reading{r.report, r.odd})
	return nil
}

// all are the reports that were found, each with what is odd about the document.
func (r *reader) all() []Reading {
	for i := range r.found {
		odd := slices.Clone(r.general)
		for _, text := range r.found[i].Oddities {
			odd.add("%s", text)
		}
		r.found[i].Oddities = odd
	}
	return r.found
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

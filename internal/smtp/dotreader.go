package smtp

import (
	"bytes"
	"encoding/binary"
)

// Fault is a set of things wrong with content. The zero value is clean content.
type Fault uint8

// The faults a Decoder sees.
const (
	BareCR Fault = 1 << iota // CR not followed by LF
	BareLF                   // LF not preceded by CR
	NUL                      // an octet of value zero
	LongLine
	LoneDot // a dot alone on a line of which at least one end is no CRLF
)

// Decoder takes the dots out of the content that follows DATA, and finds its one true end: CRLF "." CRLF, where the
// first CRLF may be the one that ended the DATA command (RFC 5321 §4.1.1.4, §4.5.2). Nothing else ends content: not
// LF.LF, not CR.CR, not any mixture, which is what SMTP smuggling lives on. With Raw it checks content without dots,
// as BDAT brings it (RFC 3030). The zero value is ready for DATA. It never fails; what is wrong is in Faults, and
// decoding goes on so that the end is found.
//
//	state     next octet  does
//	decStart  "."         decDot      (Raw: decLine)
//	decDot    CR          decDotCR    else decLine: the dot is gone
//	decDotCR  LF          decEnd      else decCR
//	decLine   CR          decCR
//	decCR     LF          CRLF out, decStart
//	          else        BareCR, CR out, decLine
type Decoder struct {
	// Raw content has no dots and no end of its own.
	Raw bool
	// Convert turns bare CR and bare LF into CRLF, so that what is passed on cannot mean two things to two servers.
	// Without it they are kept.
	Convert bool
	// MaxLine is how many octets a line may have, CRLF not counted; 0 means no limit.
	MaxLine int

	// Faults and EightBit (an octet above 127 was seen) grow while content is decoded.
	Faults   Fault
	EightBit bool

	state place
	line  int // octets in the present line

	lone lonePlace
}

type place uint8

const (
	decStart place = iota
	decDot
	decDotCR
	decLine
	decCR
	decEnd
)

// Decode reads src and writes content to dst; they must not overlap. It returns how many octets it wrote and read, and
// whether the end was reached, after which it reads nothing more. It stops early when dst has less than two octets
// left; a dst as long as src+2 always makes progress.
func (d *Decoder) Decode(dst, src []byte) (nDst, nSrc int, done bool) {
	for nSrc < len(src) && d.state != decEnd && len(dst)-nDst >= 2 {
		switch c := src[nSrc]; d.state {
		case decStart:
			d.state = decLine
			if c == '.' && !d.Raw {
				d.state = decDot
				nSrc++
			}
		case decDot:
			d.state = decLine
			if c == '\r' {
				d.state = decDotCR
				nSrc++
			}
		case decDotCR:
			d.state = decCR
			if c == '\n' {
				d.state = decEnd
				nSrc++
			}
		case decCR:
			nDst += d.afterCR(dst[nDst:], c)
			if c == '\n' || c == '\r' {
				nSrc++
			}
		case decLine:
			w, r := d.run(dst[nDst:], src[nSrc:])
			nDst, nSrc = nDst+w, nSrc+r
		}
	}
	if d.Convert { // else every bare end is a fault already
		d.watch(src[:nSrc])
	}
	return nDst, nSrc, d.state == decEnd
}

// lonePlace is where the watch for lone dots stands, in the octets as they come.
type lonePlace uint8

const (
	loneStart   lonePlace = iota // of the content, or behind CRLF
	loneBare                     // behind a bare LF
	loneCR                       // behind a CR: a bare one unless LF follows
	loneMid                      // in a line
	loneDot                      // a dot at loneStart
	loneTwo                      // and another: one of them is taken out, so that one is left
	loneDotCR                    // one or two, and a CR
	loneDotBare                  // a dot behind a bare CR or LF
)

// watch looks for a dot that stands alone on a line by any reading of line ends, of which at least one end is no CRLF:
// in the octets as they come, and in what is left when dots were taken out.
func (d *Decoder) watch(src []byte) {
	for len(src) > 0 {
		if d.lone == loneMid {
			i := bytes.IndexByte(src, '\n')
			if i < 0 {
				i = len(src)
			}
			if j := bytes.IndexByte(src[:i], '\r'); j >= 0 {
				i = j
			}
			if src = src[i:]; len(src) == 0 {
				return
			}
		}
		d.lone = d.lonely(src[0])
		src = src[1:]
	}
}

// lonely is where the next octet leads.
func (d *Decoder) lonely(c byte) lonePlace {
	was := d.lone
	isEnd := c == '\r' || c == '\n'
	switch {
	case was == loneDotBare && isEnd, (was == loneDot || was == loneTwo) && c == '\n', was == loneDotCR && c != '\n':
		d.Faults |= LoneDot
	case (was == loneDot || was == loneTwo) && c == '\r':
		return loneDotCR
	case was == loneDot && c == '.' && !d.Raw:
		return loneTwo
	}
	switch {
	case c == '\r':
		return loneCR
	case c == '\n' && (was == loneCR || was == loneDotCR):
		return loneStart
	case c == '\n':
		return loneBare
	case c == '.' && was == loneStart:
		return loneDot
	case c == '.' && (was == loneBare || was == loneCR || was == loneDotCR):
		return loneDotBare
	}
	return loneMid
}

// afterCR decides about a CR held back, knowing the octet behind it.
func (d *Decoder) afterCR(dst []byte, c byte) int {
	d.line = 0
	if c == '\n' {
		d.state = decStart
		return copy(dst, "\r\n")
	}
	d.Faults |= BareCR
	n := 1
	d.state = decLine
	dst[0] = '\r'
	if d.Convert { // but a dot behind it is no dot of the protocol, or ".\r\n" after a bare CR would end the content
		n = copy(dst, "\r\n")
	}
	if c == '\r' { // the new CR is the one held back now
		d.state = decCR
	}
	return n
}

// run copies up to and including the end of the line, or as much as there is.
func (d *Decoder) run(dst, src []byte) (nDst, nSrc int) {
	src = src[:min(len(src), len(dst))]
	stop := bytes.IndexByte(src, '\n')
	text := src
	if stop >= 0 {
		text = src[:stop]
	}
	if i := bytes.IndexByte(text, '\r'); i >= 0 {
		d.inspect(text[:i])
		if i == len(text)-1 && stop >= 0 { // a whole line with its CRLF: the common case, one copy
			d.state, d.line = decStart, 0
			return copy(dst, src[:stop+1]), stop + 1
		}
		d.state = decCR
		return copy(dst, text[:i]), i + 1
	}
	d.inspect(text)
	n := copy(dst, text)
	if stop < 0 {
		return n, n
	}
	if len(dst)-n < 2 { // no room for a converted line end: the LF waits for the next call
		return n, n
	}
	d.Faults |= BareLF
	d.line = 0
	if d.Convert {
		return n + copy(dst[n:], "\r\n"), n + 1
	}
	return n + copy(dst[n:], "\n"), n + 1
}

// inspect looks for NUL and octets above 127 and counts the line.
func (d *Decoder) inspect(text []byte) {
	d.line += len(text)
	if d.MaxLine > 0 && d.line > d.MaxLine {
		d.Faults |= LongLine
	}
	if bytes.IndexByte(text, 0) >= 0 {
		d.Faults |= NUL
	}
	if !d.EightBit {
		d.EightBit = HasEightBit(text)
	}
}

// Finish is called when Raw content has ended. It returns what must be appended so that the content ends with CRLF:
// "" for an empty content and one that does already.
func (d *Decoder) Finish() string {
	was := d.state
	d.state = decEnd
	if d.lone == loneDotBare || d.lone == loneDotCR {
		d.Faults |= LoneDot
	}
	switch was {
	case decLine:
		return "\r\n"
	case decCR:
		d.Faults |= BareCR
		return "\r\n"
	}
	return ""
}

// HasEightBit reports whether an octet is above 127, eight at a time.
func HasEightBit(b []byte) bool {
	for len(b) >= 8 {
		if binary.NativeEndian.Uint64(b)&0x8080808080808080 != 0 {
			return true
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}

package pattern

import "unicode/utf8"

// grams is the set of three-byte pieces of a text, hashed. A pattern whose literal text has a piece that is not in the
// set cannot match; asking costs a few instructions where matching costs a search, which is what keeps thousands of
// patterns cheap. It may hold pieces the text does not have, never the other way round.
type grams [64]uint64

const gramBits = len(grams{}) * 64

// maxNeeds bounds the pieces asked for; more tell little.
const maxNeeds = 8

func gram(a, b, c byte) uint16 {
	h := (uint32(a)<<16 | uint32(b)<<8 | uint32(c)) * 2654435761
	return uint16(h >> 16 % uint32(gramBits))
}

// Add puts the pieces of s into the set.
func (g *grams) add(s string) {
	for i := 2; i < len(s); i++ {
		h := gram(s[i-2], s[i-1], s[i])
		g[h/64] |= 1 << (h % 64)
	}
}

// hold reports whether all the pieces are in the set.
func (g *grams) hold(needs []uint16) bool {
	for _, h := range needs {
		if g[h/64]&(1<<(h%64)) == 0 {
			return false
		}
	}
	return true
}

// appendGrams adds the pieces of a pattern's literal text, the last ones first: in a series of patterns the number is
// usually at the end.
func appendGrams(needs []uint16, runes []rune) []uint16 {
	var literal []byte // backwards, cut at every wildcard
	for i := len(runes) - 1; i >= 0 && len(needs) < maxNeeds; i-- {
		if runes[i] == anyRune {
			literal = nil
			continue
		}
		var buf [utf8.UTFMax]byte
		for n := utf8.EncodeRune(buf[:], runes[i]) - 1; n >= 0; n-- {
			literal = append(literal, buf[n])
			if k := len(literal); k >= 3 && len(needs) < maxNeeds {
				needs = append(needs, gram(literal[k-1], literal[k-2], literal[k-3]))
			}
		}
	}
	return needs
}

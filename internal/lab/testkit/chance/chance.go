// Package chance draws texts for tests of laws: what folding, composition and decoding are about, and patterns for
// them.
package chance

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Dice draws. It is for one goroutine.
type Dice struct{ *rand.Rand }

// Roll returns dice with a seed that the test's log names.
func Roll(t *testing.T) Dice {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return Dice{rand.New(rand.NewPCG(seed, 1))}
}

// Rounds is how often a law is tried: less under the race detector, which has nothing to find here.
func Rounds() int {
	if testing.Short() {
		return 100
	}
	return 800
}

// Pick draws one of a list.
func Pick[T any](d Dice, list ...T) T { return list[d.IntN(len(list))] }

// letters are what folding, composition and decoding are about: the Kelvin sign, the long s, both small sigmas, letters
// whose fold has another length, letters that compose, what stands for octets that are no text, and an octet that is
// none.
var letters = []string{"a", "A", "b", "k", "K", "\u212a", "s", "S", "\u017f", "σ", "ς", "Σ", "ß", "ẞ", "İ", "ı", "é",
	"e\u0301", "É", "ⱥ", "Ⱥ", "\ufffd", "\xff", " ", "[", "]", "7", "77", "case-", "secret", "SECRET",
	// what is brought to another form, and what is decoded or cannot be
	"\t", "\u00a0", "\u2003", "\u200b", "\u00ad", "ｓ", "ﬁ", "ª", "\u3164", "\u2011", "’", "\u202e",
	"=?utf-8?q?se?= =?utf-8?q?cret?=",
	"=?iso-8859-1?q?=E9?=", "=?utf-8?q?=C3?=", "=?x?q?a?=", "+AGEAYgBr-", "\r\n "}

// Text is up to eight letters.
func (d Dice) Text() string {
	var b strings.Builder
	for range d.IntN(9) {
		b.WriteString(Pick(d, letters...))
	}
	return b.String()
}

// Pattern is a pattern for such texts: a piece of one, a whole one, or one full of wildcards. It may be none at all,
// or wrong.
func (d Dice) Pattern() string {
	var b strings.Builder
	wild := Pick(d, 0, 1, 4)
	for range 1 + d.IntN(6) {
		if d.IntN(6) < wild {
			b.WriteString(Pick(d, "*", "?", `\*`))
		}
		letter := strings.ToValidUTF8(Pick(d, letters...), "\ufffd")
		if !strings.ContainsAny(letter, "?*+\\\r\n\t") { // the rest is hostile only in a message
			b.WriteString(letter)
		}
	}
	p := strings.TrimLeft(b.String(), " ")
	switch d.IntN(8) {
	case 0, 1, 2, 3:
		p = "*" + p + "*"
	case 4:
		p = "re:" + strings.NewReplacer("[", ".", "]", ".", "*", ".", "?", ".", `\`, "").Replace(p)
	case 5:
		p = Pick(d, "*", "?", "*?", "**a**", "a*")
	}
	return p
}

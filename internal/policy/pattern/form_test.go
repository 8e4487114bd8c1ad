package pattern

import (
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"postern/internal/lab/testkit/chance"
)

// Nothing that an expression found in a text as it was sent is lost by the form of texts.
func TestAnExpressionLosesNoMatch(t *testing.T) {
	d := chance.Roll(t)
	for range chance.Rounds() {
		expr := d.Pattern()
		if !strings.HasPrefix(expr, "re:") {
			expr = "re:" + strings.NewReplacer("*", ".", "?", ".", "[", ".", "]", ".", `\`, ".").Replace(expr)
		}
		p, err := CompileText(expr, d.IntN(2) == 0)
		if err != nil {
			continue
		}
		text := strings.ToValidUTF8(d.Text(), "\ufffd")
		v := Value{Plain: norm.NFC.String(text), formed: newFormed(text)}
		if p.re.plain.MatchString(v.Plain) && !p.Match(&v, true) {
			t.Fatalf("%q no longer finds %q", expr, text)
		}
	}
}

// A form is the form of itself, so that a text that was brought to it compares with one that was not.
func TestAFormIsStable(t *testing.T) {
	d := chance.Roll(t)
	for range chance.Rounds() * 10 {
		text := d.Text()
		if once := form(text, true); form(once, true) != once {
			t.Fatalf("%q becomes %q and then %q", text, once, form(once, true))
		}
	}
}

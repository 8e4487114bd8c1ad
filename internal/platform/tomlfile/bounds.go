package tomlfile

import (
	"bytes"
	"fmt"

	"github.com/pelletier/go-toml/v2/unstable"
)

// What a document may have.
const (
	MaxSize = 16 << 20 // bytes
	// MaxKeys is how many keys may stand in one table, and how many different tables may have a header of their own; a
	// list of tables may be as long as it likes.
	MaxKeys = 250
	// MaxParts is how many parts a dotted key or a header may have.
	MaxParts = 16
)

// Excess is where a document goes over a bound, in bytes from its beginning, and what it has too much of.
type Excess struct {
	Offset int
	What   string
}

// Unmarked returns a document without the byte order mark that some editors write at the beginning of UTF-8.
func Unmarked(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\ufeff")) }

// Check returns the first excess of a document, nil if there is none. Beyond the first fault of syntax it does not
// look: that is the library's to tell.
func Check(text []byte) *Excess {
	if len(text) > MaxSize {
		return &Excess{0, fmt.Sprintf("the file has %d bytes, at most %d are allowed", len(text), MaxSize)}
	}
	var p unstable.Parser
	p.Reset(text)
	headers := map[string]bool{}
	keys := 0 // of the table at hand
	for p.NextExpression() {
		e := p.Expression()
		path, first, over := joined(e.Key())
		switch {
		case over:
			return &Excess{first, fmt.Sprintf("a key of more than %d parts", MaxParts)}
		case e.Kind == unstable.KeyValue:
			if keys++; keys > MaxKeys {
				return &Excess{first, fmt.Sprintf("a table of more than %d keys", MaxKeys)}
			}
			if over := checkValue(e.Value(), first); over != nil {
				return over
			}
		case e.Kind == unstable.Table, e.Kind == unstable.ArrayTable:
			keys = 0
			if headers[path] = true; len(headers) > MaxKeys {
				return &Excess{first, fmt.Sprintf("more than %d different tables", MaxKeys)}
			}
		}
	}
	return nil
}

// joined is a key's parts as one text, and where the first stands. over: it has too many.
func joined(it unstable.Iterator) (path string, first int, over bool) {
	for n := 0; it.Next(); n++ {
		part := it.Node()
		if n == 0 {
			first = int(part.Raw.Offset)
		}
		if n == MaxParts {
			return "", first, true
		}
		path += string(part.Data) + "\x00"
	}
	return path, first, false
}

// checkValue looks at tables that are written inside a value. at is where its key stands.
func checkValue(v *unstable.Node, at int) *Excess {
	if v.Kind != unstable.InlineTable && v.Kind != unstable.Array {
		return nil
	}
	keys := 0
	for it := v.Children(); it.Next(); {
		n := it.Node()
		if n.Kind == unstable.KeyValue {
			if _, _, over := joined(n.Key()); over {
				return &Excess{at, fmt.Sprintf("a key of more than %d parts", MaxParts)}
			}
			if keys++; keys > MaxKeys {
				return &Excess{at, fmt.Sprintf("a table of more than %d keys", MaxKeys)}
			}
			n = n.Value()
		}
		if over := checkValue(n, at); over != nil {
			return over
		}
	}
	return nil
}

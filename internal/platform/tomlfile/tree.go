package tomlfile

import (
	"errors"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Node is a TOML value that knows where it stands, so that a fault found long after parsing can be shown in place.
type Node struct {
	Kind  unstable.Kind // Table, Array, or a scalar's
	At    Span
	Text  string // a string's value; of other scalars the source
	Items []*Node
	Keys  []Entry // of a table, in the order of the file
	index map[string]int
}

// Entry is one key of a table.
type Entry struct {
	Key   string
	At    Span // of the key
	Value *Node
}

func newTable(at Span) *Node {
	return &Node{Kind: unstable.Table, At: at, index: map[string]int{}}
}

// Get is the value of a key of a table, nil for none.
func (n *Node) Get(key string) *Node { return n.Entry(key).Value }

// Entry is a key of a table; one that is not there has no Value.
func (n *Node) Entry(key string) Entry {
	if i, ok := n.index[key]; ok {
		return n.Keys[i]
	}
	return Entry{}
}

// Tables are the tables of a list of tables, none for anything else.
func (n *Node) Tables() (out []*Node) {
	if n == nil || n.Kind != unstable.Array {
		return nil
	}
	for _, i := range n.Items {
		if i.Kind == unstable.Table {
			out = append(out, i)
		}
	}
	return out
}

func (n *Node) put(e Entry) {
	n.index[e.Key] = len(n.Keys)
	n.Keys = append(n.Keys, e)
}

// Tree reads the source, nil where it cannot be read: the problem then has one of the hints given, for a document over
// its bounds and for one that is no TOML. Syntax, duplicate keys and tables defined twice are the library's to find: it
// reads the text first and stops at the first fault; what is built afterwards relies on that.
func (p *Problems) Tree(overBounds, noTOML string) *Node {
	if over := Check(p.Source); over != nil {
		p.Add(Span{over.Offset, 1}, over.What, overBounds)
		return nil
	}
	var ignored map[string]any
	if err := toml.Unmarshal(p.Source, &ignored); err != nil {
		p.syntax(err, noTOML)
		return nil
	}
	root := newTable(Span{})
	current := root
	var parser unstable.Parser
	parser.Reset(p.Source)
	for parser.NextExpression() {
		switch e := parser.Expression(); e.Kind {
		case unstable.Table:
			current = descend(root, keyPath(e.Key()), false)
		case unstable.ArrayTable:
			current = descend(root, keyPath(e.Key()), true)
		case unstable.KeyValue:
			assign(current, e)
		}
	}
	if err := parser.Error(); err != nil {
		p.syntax(err, noTOML)
		return nil
	}
	return root
}

// syntax records the library's complaint about the text.
func (p *Problems) syntax(err error, hint string) {
	what, row, column := Complaint(err)
	at := Span{}
	if row > 0 {
		at = Span{LineStart(p.Source, row) + max(0, column-1), 1}
	}
	p.Add(at, "not valid TOML: "+shown(what), hint)
}

// Complaint is what the library says of a text that is no TOML, and where; row 0 where it does not say where.
func Complaint(err error) (what string, row, column int) {
	if fault, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column = fault.Position()
	}
	return strings.TrimPrefix(err.Error(), "toml: "), row, column
}

// LineStart is where a line, 1 for the first, begins.
func LineStart(source []byte, line int) int {
	offset := 0
	for ; line > 1 && offset < len(source); offset++ {
		if source[offset] == '\n' {
			line--
		}
	}
	return offset
}

// keyPath returns the parts of a dotted key.
func keyPath(it unstable.Iterator) []Entry {
	var out []Entry
	for it.Next() {
		k := it.Node()
		out = append(out, Entry{Key: string(k.Data), At: toSpan(k.Raw)})
	}
	return out
}

func toSpan(r unstable.Range) Span { return Span{int(r.Offset), int(r.Length)} }

// descend walks from a table along path, making tables on the way; of an array of tables it enters the last. With
// array set the last part names an array of tables that gets one more.
func descend(n *Node, path []Entry, array bool) *Node {
	for i, part := range path {
		child := n.Get(part.Key)
		if array && i == len(path)-1 {
			if child == nil {
				child = &Node{Kind: unstable.Array, At: part.At}
				n.put(Entry{part.Key, part.At, child})
			}
			child.Items = append(child.Items, newTable(part.At))
		}
		if child == nil {
			child = newTable(part.At)
			n.put(Entry{part.Key, part.At, child})
		}
		if child.Kind == unstable.Array && len(child.Items) > 0 {
			child = child.Items[len(child.Items)-1]
		}
		n = child
	}
	return n
}

// assign adds a key with its value to a table.
func assign(table *Node, e *unstable.Node) {
	path := keyPath(e.Key())
	last := path[len(path)-1]
	last.Value = toNode(e.Value(), last.At)
	descend(table, path[:len(path)-1], false).put(last)
}

// toNode copies a value out of the parser's memory. at is where its key stands, for values without a place.
func toNode(v *unstable.Node, at Span) *Node {
	if v.Raw.Length > 0 {
		at = toSpan(v.Raw)
	}
	switch v.Kind {
	case unstable.Array:
		out := &Node{Kind: v.Kind, At: at}
		for it := v.Children(); it.Next(); {
			if it.Node().Kind != unstable.Comment {
				out.Items = append(out.Items, toNode(it.Node(), at))
			}
		}
		return out
	case unstable.InlineTable:
		out := newTable(at)
		for it := v.Children(); it.Next(); {
			if it.Node().Kind == unstable.KeyValue {
				assign(out, it.Node())
			}
		}
		return out
	}
	return &Node{Kind: v.Kind, At: at, Text: string(v.Data)}
}

package rules

import (
	"errors"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlbound"
)

// node is a TOML value that knows where it stands, so that a fault found long after parsing can be shown in place.
type node struct {
	kind  unstable.Kind // Table, Array, or a scalar's
	at    span
	text  string // a string's value; of other scalars the source
	items []*node
	keys  []entry // of a table, in the order of the file
	index map[string]int
}

// entry is one key of a table.
type entry struct {
	key   string
	at    span // of the key
	value *node
}

func newTable(at span) *node {
	return &node{kind: unstable.Table, at: at, index: map[string]int{}}
}

func (n *node) get(key string) *node {
	if i, ok := n.index[key]; ok {
		return n.keys[i].value
	}
	return nil
}

func (n *node) put(e entry) {
	n.index[e.key] = len(n.keys)
	n.keys = append(n.keys, e)
}

// parseTree reads a document. Syntax, duplicate keys and tables defined twice are the library's to find: it reads the
// text first and stops at the first fault; what is built afterwards relies on that.
func parseTree(p *problems) *node {
	if over := tomlbound.Check(p.source); over != nil {
		p.add(span{over.Offset, 1}, over.What, "write rules with longer lists instead")
		return nil
	}
	var ignored map[string]any
	if err := toml.Unmarshal(p.source, &ignored); err != nil {
		p.syntax(err)
		return nil
	}
	root := newTable(span{})
	current := root
	var parser unstable.Parser
	parser.Reset(p.source)
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
		p.syntax(err)
		return nil
	}
	return root
}

// syntax records the library's complaint about the text.
func (p *problems) syntax(err error) {
	var fault *toml.DecodeError
	at := span{}
	if errors.As(err, &fault) {
		row, column := fault.Position()
		at = span{lineOffset(p.source, row) + max(0, column-1), 1}
	}
	p.add(at, "not valid TOML: "+shown(toText(err)), "strings stand in double quotes, lists in [ ], and each rule begins with [[rule]]")
}

func toText(err error) string {
	const prefix = "toml: "
	s := err.Error()
	if len(s) > len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):]
	}
	return s
}

// lineOffset is where line row (1 for the first) begins.
func lineOffset(source []byte, row int) int {
	offset := 0
	for ; row > 1 && offset < len(source); offset++ {
		if source[offset] == '\n' {
			row--
		}
	}
	return offset
}

// keyPath returns the parts of a dotted key.
func keyPath(it unstable.Iterator) []entry {
	var out []entry
	for it.Next() {
		k := it.Node()
		out = append(out, entry{key: string(k.Data), at: toSpan(k.Raw)})
	}
	return out
}

func toSpan(r unstable.Range) span { return span{int(r.Offset), int(r.Length)} }

// descend walks from a table along path, making tables on the way; of an array of tables it enters the last. With
// array set the last part names an array of tables that gets one more.
func descend(n *node, path []entry, array bool) *node {
	for i, part := range path {
		child := n.get(part.key)
		if array && i == len(path)-1 {
			if child == nil {
				child = &node{kind: unstable.Array, at: part.at}
				n.put(entry{part.key, part.at, child})
			}
			child.items = append(child.items, newTable(part.at))
		}
		if child == nil {
			child = newTable(part.at)
			n.put(entry{part.key, part.at, child})
		}
		if child.kind == unstable.Array && len(child.items) > 0 {
			child = child.items[len(child.items)-1]
		}
		n = child
	}
	return n
}

// assign adds a key with its value to a table.
func assign(table *node, e *unstable.Node) {
	path := keyPath(e.Key())
	last := path[len(path)-1]
	last.value = toNode(e.Value(), last.at)
	descend(table, path[:len(path)-1], false).put(last)
}

// toNode copies a value out of the parser's memory. at is where its key stands, for values without a place.
func toNode(v *unstable.Node, at span) *node {
	if v.Raw.Length > 0 {
		at = toSpan(v.Raw)
	}
	switch v.Kind {
	case unstable.Array:
		out := &node{kind: v.Kind, at: at}
		for it := v.Children(); it.Next(); {
			if it.Node().Kind != unstable.Comment {
				out.items = append(out.items, toNode(it.Node(), at))
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
	return &node{kind: v.Kind, at: at, text: string(v.Data)}
}

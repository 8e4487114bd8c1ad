package config

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
)

// decoder puts a TOML document into a Config and remembers where everything stood, so that a problem found later, in
// the meaning of a value, can still point at its line. The grammar is go-toml's; assigning is done here because the
// library stops at the first problem and words it for programmers.
type decoder struct {
	file string
	text []byte
	p    unstable.Parser
	// marks has the place of every key and list element that was read, by its path: "listen[0].address".
	marks map[string]unstable.Range
	// broken has the paths whose value could not be read, so that its meaning is not complained about as well.
	broken   map[string]bool
	problems []Problem
}

// decode reads text into c. It returns the decoder for what is still to be checked, and an error only when the text is
// not TOML at all.
func decode(file string, text []byte, c *Config) (*decoder, error) {
	d := &decoder{file: file, text: text, marks: map[string]unstable.Range{}, broken: map[string]bool{}}
	if over := tomlfile.Check(text); over != nil {
		d.failAt(unstable.Range{Offset: uint32(min(over.Offset, len(text)))}, over.What,
			"`postern config example` prints every key")
		return d, d.err()
	}
	// The library's own reading finds what is not TOML, and keys and tables given twice.
	if err := toml.Unmarshal(text, new(map[string]any)); err != nil {
		return d, d.syntax(err)
	}
	d.p.Reset(text)
	root := reflect.ValueOf(c).Elem()
	table, path := root, ""
	for d.p.NextExpression() && len(d.problems) < maxProblems {
		switch e := d.p.Expression(); e.Kind {
		case unstable.Table:
			table, path = d.open(root, e, false)
		case unstable.ArrayTable:
			table, path = d.open(root, e, true)
		case unstable.KeyValue:
			d.pair(table, path, e)
		}
	}
	return d, d.p.Error()
}

// syntax turns the library's error into a Problem.
func (d *decoder) syntax(err error) error {
	what, line, column := tomlfile.Complaint(err)
	if line == 0 {
		return &Problems{List: []Problem{{File: d.file, What: "not TOML: " + err.Error()}}}
	}
	_, _, text := tomlfile.LineAt(d.text, tomlfile.LineStart(d.text, line))
	d.show(line, column, text, "not TOML: "+what, syntaxHint(what))
	return d.err()
}

// open goes to the table that a [header] or [[header]] names. The Value is invalid when there is none.
func (d *decoder) open(root reflect.Value, e *unstable.Node, element bool) (reflect.Value, string) {
	v, path := root, ""
	for keys := e.Key(); keys.Next(); {
		key := keys.Node()
		if v, path = d.field(v, path, key); !v.IsValid() {
			return v, path
		}
		isList := v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct
		switch {
		case isList && keys.IsLast() && element:
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			v, path = v.Index(v.Len()-1), fmt.Sprintf("%s[%d]", path, v.Len()-1)
			d.marks[path] = key.Raw
		case isList && !keys.IsLast() && v.Len() > 0:
			v, path = v.Index(v.Len()-1), fmt.Sprintf("%s[%d]", path, v.Len()-1)
		case isList:
			d.failAt(key.Raw, fmt.Sprintf("%s is a list of tables", path), fmt.Sprintf("write [[%s]]", path))
			return reflect.Value{}, path
		case v.Kind() != reflect.Struct || isText(v):
			d.failAt(key.Raw, fmt.Sprintf("%s is a value, not a table", path), fmt.Sprintf("write %s = ...", path))
			return reflect.Value{}, path
		case element && keys.IsLast():
			d.failAt(key.Raw, fmt.Sprintf("there is only one %s", path), fmt.Sprintf("write [%s]", path))
			return reflect.Value{}, path
		}
	}
	return v, path
}

// pair assigns key = value inside a table.
func (d *decoder) pair(table reflect.Value, path string, e *unstable.Node) {
	v := table
	for keys := e.Key(); keys.Next(); {
		if !v.IsValid() {
			return // inside a table that was refused
		}
		if v.Kind() != reflect.Struct || isText(v) {
			d.failAt(keys.Node().Raw, path+" is a value and has no keys", "")
			return
		}
		v, path = d.field(v, path, keys.Node())
	}
	if v.IsValid() {
		d.assign(v, path, e.Value())
	}
}

// field returns the field that a key names, or the invalid Value.
func (d *decoder) field(v reflect.Value, path string, key *unstable.Node) (reflect.Value, string) {
	name := string(key.Data)
	full := strings.TrimPrefix(path+"."+name, ".")
	names := keyNames(v.Type())
	i := slices.Index(names, name)
	if i < 0 || name == "" {
		hint := "`postern config example` prints every key"
		if near := nearest(name, names); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		d.failAt(key.Raw, fmt.Sprintf("unknown key %s", full), hint)
		d.problems[len(d.problems)-1].Key = full
		return reflect.Value{}, full
	}
	d.marks[full] = key.Raw
	return v.Field(i), full
}

// keyNames lists the keys of a struct in the order of its fields, "" where a field is no key.
func keyNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("toml")
	}
	return names
}

// assign puts a value into a field or list element.
func (d *decoder) assign(v reflect.Value, path string, n *unstable.Node) {
	before := len(d.problems)
	d.assignKind(v, path, n)
	if len(d.problems) > before {
		d.broken[path] = true
	}
	for i := before; i < len(d.problems); i++ {
		if d.problems[i].Key == "" {
			d.problems[i].Key = path
		}
	}
}

func (d *decoder) assignKind(v reflect.Value, path string, n *unstable.Node) {
	if n.Kind != unstable.Array && n.Kind != unstable.InlineTable {
		d.marks[path] = n.Raw
	}
	switch {
	case isText(v):
		d.assignText(v, path, n)
	case v.Kind() == reflect.Slice:
		d.assignList(v, path, n)
	case v.Kind() == reflect.Struct:
		d.assignTable(v, path, n)
	case v.Kind() == reflect.String:
		if d.want(n, unstable.String, path, "a text in quotes") {
			v.SetString(string(n.Data))
		}
	case v.Kind() == reflect.Bool:
		if d.want(n, unstable.Bool, path, "true or false") {
			v.SetBool(string(n.Data) == "true")
		}
	default:
		d.assignNumber(v, path, n)
	}
}

func (d *decoder) assignText(v reflect.Value, path string, n *unstable.Node) {
	_, isDuration := v.Interface().(Duration)
	if !(isDuration && n.Kind == unstable.Integer) && !d.want(n, unstable.String, path, "a text in quotes") {
		return
	}
	if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText(n.Data); err != nil {
		d.failAt(n.Raw, path+": "+err.Error(), "")
	}
}

func (d *decoder) assignList(v reflect.Value, path string, n *unstable.Node) {
	if n.Kind != unstable.Array {
		d.failAt(d.marks[path], path+" must be a list", fmt.Sprintf("write %s = [%s]", lastKey(path), d.p.Raw(n.Raw)))
		return
	}
	list := reflect.MakeSlice(v.Type(), 0, 4)
	for it := n.Children(); it.Next() && len(d.problems) < maxProblems; {
		if it.Node().Kind == unstable.Comment {
			continue
		}
		list = reflect.Append(list, reflect.Zero(v.Type().Elem()))
		at := fmt.Sprintf("%s[%d]", path, list.Len()-1)
		d.marks[at] = d.marks[path]
		d.assign(list.Index(list.Len()-1), at, it.Node())
	}
	v.Set(list)
}

// lastKey is the key at the end of a path: "to" of "route[0].to".
func lastKey(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

func (d *decoder) assignTable(v reflect.Value, path string, n *unstable.Node) {
	if n.Kind != unstable.InlineTable {
		d.failAt(d.marks[path], path+" must be a table", fmt.Sprintf("write {%s = ...}", keyNames(v.Type())[0]))
		return
	}
	for it := n.Children(); it.Next(); {
		if it.Node().Kind == unstable.KeyValue {
			d.pair(v, path, it.Node())
		}
	}
}

func (d *decoder) assignNumber(v reflect.Value, path string, n *unstable.Node) {
	if !d.want(n, unstable.Integer, path, "a whole number") {
		return
	}
	number, err := strconv.ParseInt(string(n.Data), 0, 64)
	switch {
	case err != nil, v.CanInt() && v.OverflowInt(number), v.CanUint() && (number < 0 || v.OverflowUint(uint64(number))):
		d.failAt(n.Raw, fmt.Sprintf("%s: %s is out of range", path, n.Data), "")
	case v.CanInt():
		v.SetInt(number)
	default:
		v.SetUint(uint64(number))
	}
}

// isText reports whether the value reads itself from text.
func isText(v reflect.Value) bool {
	_, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	return ok
}

func (d *decoder) want(n *unstable.Node, kind unstable.Kind, path, words string) bool {
	if n.Kind == kind {
		return true
	}
	place := n.Raw
	if place.Length == 0 {
		place = d.marks[path]
	}
	d.failAt(place, fmt.Sprintf("%s must be %s", path, words), "")
	return false
}

// fail reports a problem with what stands at path, or, where that was not written, with what it is part of.
func (d *decoder) fail(path, what, hint string) {
	if d.broken[path] {
		return
	}
	before := len(d.problems)
	defer func() {
		for i := range d.problems[before:] {
			d.problems[before+i].Key = path
		}
	}()
	for at := path; at != ""; at = enclosing(at) {
		if r, ok := d.marks[at]; ok {
			d.failAt(r, path+": "+what, hint)
			return
		}
	}
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{File: d.file, What: mail.Clip(path+": "+what, shownWhat),
			Hint: mail.Clip(hint, shownWhat)})
	}
}

func (d *decoder) failAt(r unstable.Range, what, hint string) {
	if len(d.problems) == maxProblems {
		return
	}
	line, start, text := tomlfile.LineAt(d.text, int(r.Offset))
	d.show(line, int(r.Offset)-start+1, text, what, hint)
}

// maxProblems is how many are told; the first is often the cause of the others. shownText and shownWhat bound each, in
// bytes.
const (
	maxProblems = 100
	shownText   = 200
	shownWhat   = 400
)

// show adds a problem with the line in which it stands. Of a long line only the beginning is shown, and where the
// problem stands further on or a secret stands there, nothing.
func (d *decoder) show(line, column int, text []byte, what, hint string) {
	shown := mail.Clip(string(text), shownText)
	if column > len(shown)+1 || secretive(shown) { // problems are logged
		shown = ""
	}
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Column: column, Text: shown,
		What: mail.Clip(what, shownWhat), Hint: mail.Clip(hint, shownWhat)})
}

// secretive reports whether a line may hold a secret, under whatever name somebody tried for its key.
func secretive(line string) bool {
	line = strings.ToLower(line)
	if _, rest, ok := strings.Cut(line, "://"); ok && strings.Contains(rest, "@") { // a user and perhaps a password
		return true
	}
	return slices.ContainsFunc([]string{"pass", "pwd", "secret", "token", "argon2"},
		func(word string) bool { return strings.Contains(line, word) })
}

// err returns everything found so far, in the order of the file.
func (d *decoder) err() error {
	if len(d.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Problems{List: d.problems}
}

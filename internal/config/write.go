package config

import (
	_ "embed" // for example.toml
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"postern/internal/platform/tomlfile"
)

//go:embed example.toml
var example string

// Example returns a configuration file that has every key, with its meaning and default. Every key is commented out,
// so that the file means the same as an empty one.
func Example() string { return example }

// hidden stands where a secret would be shown.
const hidden = "(not shown)"

// TOML returns the configuration with everything that Load filled in. Passwords and their hashes are not shown.
func (c *Config) TOML() string {
	var b strings.Builder
	shown := *c
	shown.Store = Store(c.Store.Shown())
	shown.User = make([]User, len(c.User))
	for i, u := range c.User {
		shown.User[i] = User{u.Name, hidden}
	}
	writeTable(&b, reflect.ValueOf(shown), "")
	return b.String()
}

// Map returns what TOML returns as nested maps, for JSON.
func (c *Config) Map() map[string]any {
	out := map[string]any{}
	if err := toml.Unmarshal([]byte(c.TOML()), &out); err != nil {
		panic("config: what TOML writes is not TOML: " + err.Error())
	}
	return out
}

// Differences lists, in order, the keys in which two configurations differ, with everything that Load filled in:
// "hostname", "limits.hops", and of a section that may be repeated its name: "listen".
func Differences(a, b *Config) (keys []string) {
	before, after := a.Map(), b.Map()
	for _, name := range slices.Sorted(maps.Keys(joined(before, after))) {
		x, okX := before[name].(map[string]any)
		y, okY := after[name].(map[string]any)
		if !okX || !okY {
			if !reflect.DeepEqual(before[name], after[name]) {
				keys = append(keys, name)
			}
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(joined(x, y))) {
			if !reflect.DeepEqual(x[key], y[key]) {
				keys = append(keys, name+"."+key)
			}
		}
	}
	return keys
}

func joined(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// writeTable writes the keys of a table, then the tables inside it.
func writeTable(b *strings.Builder, v reflect.Value, path string) {
	for i := range v.NumField() {
		if t := v.Field(i).Type(); inLine(t) && t.Kind() == reflect.Struct && v.Field(i).IsZero() {
			continue // no policy, no CA and no signature are written as nothing
		}
		if key := v.Type().Field(i).Tag.Get("toml"); key != "" && !isSection(v.Type().Field(i).Type) {
			fmt.Fprintf(b, "%s = %s\n", key, literal(v.Field(i)))
		}
	}
	for i := range v.NumField() {
		field, key := v.Field(i), v.Type().Field(i).Tag.Get("toml")
		if key == "" || !isSection(field.Type()) {
			continue
		}
		full := strings.TrimPrefix(path+"."+key, ".")
		if field.Kind() == reflect.Struct {
			fmt.Fprintf(b, "\n[%s]\n", full)
			writeTable(b, field, full)
			continue
		}
		for j := range field.Len() {
			fmt.Fprintf(b, "\n[[%s]]\n", full)
			writeTable(b, field.Index(j), full)
		}
	}
}

// isSection reports whether a key of this type is written as [key] or [[key]]: tables that are not so small that they
// are written in line.
func isSection(t reflect.Type) bool {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct && !inLine(t) &&
		!reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// inLine reports whether a table is so small that it is written in one line.
func inLine(t reflect.Type) bool {
	return slices.Contains([]reflect.Type{reflect.TypeFor[Certificate](), reflect.TypeFor[STS](),
		reflect.TypeFor[ACME](), reflect.TypeFor[DKIM]()}, t)
}

// literal writes a value as TOML.
func literal(v reflect.Value) string {
	if d, ok := v.Interface().(Duration); ok && d.Duration == 0 {
		return "0"
	}
	if text, ok := v.Interface().(encoding.TextMarshaler); ok {
		raw, err := text.MarshalText()
		if err != nil {
			return tomlfile.Quote("")
		}
		return tomlfile.Quote(string(raw))
	}
	switch v.Kind() {
	case reflect.String:
		return tomlfile.Quote(v.String())
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = literal(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Struct:
		parts := make([]string, v.NumField())
		for i := range parts {
			parts[i] = v.Type().Field(i).Tag.Get("toml") + " = " + literal(v.Field(i))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v.Interface())
}

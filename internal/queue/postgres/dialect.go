package postgres

import (
	"reflect"

	"postern/internal/queue/database"
)

// Dialect is how PostgreSQL says what other engines say otherwise. A list is an array.
func Dialect() database.Dialect {
	return database.Dialect{
		Each:     func(arg string) string { return "(SELECT unnest(" + arg + "::bigint[]) AS value)" },
		Names:    func(arg string) string { return "(SELECT unnest(" + arg + "::text[]) AS value)" },
		Index:    func(string) string { return "" },
		Fits:     fits,
		Holds:    func(column, arg string) string { return "position(" + arg + " in " + column + ") > 0" },
		DomainIn: func(column string) string { return "split_part(" + column + ", '@', -1)" },
		List:     list,
	}
}

// fits turns a pattern of * and ?, in which [[] is a bracket, into one of LIKE.
func fits(column, arg string) string {
	for _, pair := range [][2]string{{`[[]`, `[`}, {`\`, `\\`}, {`%`, `\%`}, {`_`, `\_`}, {`*`, `%`}, {`?`, `_`}} {
		arg = "replace(" + arg + ", '" + pair[0] + "', '" + pair[1] + "')"
	}
	return column + " LIKE " + arg
}

// list is integers or texts, whatever they are called, as an argument. A nil one is NULL of its type.
func list(from any) any {
	v := reflect.ValueOf(from)
	if v.Type().Elem().Kind() == reflect.String {
		if v.IsNil() {
			return []string(nil)
		}
		out := make([]string, v.Len())
		for i := range out {
			out[i] = v.Index(i).String()
		}
		return out
	}
	if v.IsNil() {
		return []int64(nil)
	}
	out := make([]int64, v.Len())
	for i := range out {
		out[i] = v.Index(i).Int()
	}
	return out
}

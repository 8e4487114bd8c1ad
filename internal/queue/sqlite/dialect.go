package sqlite

import (
	"encoding/json"
	"reflect"

	"postern/internal/queue/database"
)

// Dialect is how SQLite says what other engines say otherwise. A list is a JSON array.
func Dialect() database.Dialect {
	return database.Dialect{
		Each:     each,
		Names:    each,
		Index:    func(name string) string { return " INDEXED BY " + name },
		Fits:     func(column, arg string) string { return column + " GLOB " + arg },
		Holds:    func(column, arg string) string { return "instr(" + column + ", " + arg + ")" },
		DomainIn: DomainIn,
		List: func(list any) any {
			if reflect.ValueOf(list).IsNil() {
				return nil
			}
			text, _ := json.Marshal(list) // numbers and texts cannot fail to marshal
			return string(text)
		},
	}
}

func each(arg string) string { return "json_each(" + arg + ")" }

// List is integers as an argument for json_each.
func List[T ~int64](ids []T) string {
	text, _ := json.Marshal(ids) // integers cannot fail to marshal
	return string(text)
}

// DomainIn is the domain of a column with a canonical address: what stands behind the last @.
func DomainIn(column string) string {
	return "substr(" + column + ", length(rtrim(" + column + ", replace(" + column + ", '@', ''))) + 1)"
}

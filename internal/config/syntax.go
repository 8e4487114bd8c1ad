package config

import "strings"

// syntaxHints say what to write instead, by what the library complains about; the first that fits counts.
var syntaxHints = [...]struct{ complaint, hint string }{
	{"already defined", "write each key once, with everything that it should hold"},
	{"already exists as an array", "write it with two brackets, [[name]], each time"},
	{"should be an array table", "write it with one bracket, [name], and once, or with two, [[name]], each time"},
	{"already exists", "write each [table] once, with all of its keys below it"},
	{"should be a table", "a name is a value or a [table], not both"},
	{"cannot have new lines", `a text ends on the line where it begins: close the quotation mark`},
	{"escape", `write a backslash as \\, or the text in single quotation marks`},
	{"at start of value", `texts stand in quotation marks, name = "text"; typographic ones are none`},
	{"expected '=' after key", `write name = value`},
	{"start of key", `write name = value, or [table]`},
	{"after array value", `lists are written ["one", "two"]`},
	{"expected value but got", `lists are written ["one", "two"], with one comma between values`},
	{"expected newline", "write one key on each line"},
	{"close table name", "a table's name stands between brackets, [name]"},
	{"inline table", `a table in one line ends with }, as in {cert = "cert.pem", key = "key.pem"}`},
	{"leading zero", `write numbers without zeroes in front`},
	{"UTF-8", "save the file as UTF-8"},
}

// syntaxHint says what to do about a fault of the syntax.
func syntaxHint(complaint string) string {
	for _, h := range syntaxHints {
		if strings.Contains(complaint, h.complaint) {
			return h.hint
		}
	}
	return "texts stand in quotation marks, lists in [ ], and each table begins with its [name]; `postern config " +
		"example` shows all of it"
}

// Package tomlfile is what the readers of the two TOML files, the configuration and the rules, share: bounds
// (bounds.go), values that know where they stand (tree.go, read.go), problems shown at their place (problem.go), the
// word that was probably meant (nearest.go) and strings as TOML (write.go).
//
// The bounds refuse documents that are made to be slow, before a library reads them whole: the time the library takes
// to find keys given twice grows with the square of the keys beside each other, and with the square of the parts of a
// dotted key. No file that people write comes near them.
//
// Ground room: the text is an argument.
package tomlfile

// Package config reads the one file an administrator writes: postern.toml.
//
// Config is the file as a value. Each key is a field with a comment, and that comment is the key's documentation:
// example.toml, which `postern config example` prints, is made from the comments here and the values of Default (see
// example_test.go, which also fails when the two have drifted apart). A default therefore has one place, Default, and
// a meaning has one place, the field.
//
// Load is strict and complete. A key that does not exist is an error, and so is a value that cannot be meant; every
// problem of the file is reported at once, each with its line, the line itself and, where there is one, a hint that
// can be pasted. What Load returns can be used as it is: relative paths are made absolute (relative to the folder of
// the file), names are in their canonical form, and what was left out has its default.
//
// Only cmd/postern imports this package; every room has a small Config struct of its own.
package config

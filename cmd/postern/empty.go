package main

import (
	"fmt"
	"reflect"

	"github.com/alecthomas/kong"

	"postern/cmd/postern/internal/cli"
)

// empty refuses arguments and flags that are given without a value: a script's variable that is not set. Taken as left
// out they would choose everything.
func empty(chosen *kong.Context) error {
	for _, p := range chosen.Path {
		var value *kong.Value
		name := ""
		switch {
		case p.Resolved:
			continue
		case p.Flag != nil:
			value, name = p.Flag.Value, "--"+p.Flag.Name
		case p.Positional != nil:
			value, name = p.Positional, p.Positional.Summary()
		default:
			continue
		}
		if holdsNothing(value.Target) {
			return cli.Usage(fmt.Errorf("%s is given with an empty value", name),
				"write its value, or leave it out, which may mean everything; a script's variable may not be set")
		}
	}
	return nil
}

// holdsNothing reports whether a value is an empty text, or a list of texts that has one or none.
func holdsNothing(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return v.Len() == 0
	case reflect.Slice:
		for i := range v.Len() {
			if holdsNothing(v.Index(i)) {
				return true
			}
		}
		return v.Len() == 0
	}
	return false
}

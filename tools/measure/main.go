// Command measure prints the figures of a checkout, this one or DIR: how much code there is, in which portions, and how
// much of it leads back. `make docs` puts them into ARCHITECTURE.md.
package main

import (
	"fmt"
	"os"

	"postern/tools/tree"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	if err := print(root); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func print(root string) error {
	t, err := tree.Read(root)
	if err != nil {
		return err
	}
	rows, err := t.Measure()
	if err != nil {
		return err
	}
	for _, row := range rows {
		fmt.Printf("%-50s %s\n", row.What, row)
	}
	return nil
}

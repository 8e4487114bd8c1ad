package rules

import "postern/internal/platform/tomlfile"

// ParseError is everything wrong with a rules file.
type ParseError = tomlfile.Error

// Problem is one thing wrong, with its place and what to do.
type Problem = tomlfile.Problem

// problems collects faults while a file is read.
type problems struct {
	tomlfile.Problems
	// programs is how many instructions the "re:" expressions for header values have so far.
	programs int
	lists    knownLists
}

func newProblems(text []byte) *problems {
	return &problems{Problems: tomlfile.Problems{Source: tomlfile.Unmarked(text)}}
}

// tree reads the file, nil where it cannot be read.
func (p *problems) tree() *tomlfile.Node {
	return p.Tree("write rules with longer lists instead",
		"strings stand in double quotes, lists in [ ], and each rule begins with [[rule]]")
}

package rule

import (
	"postern/internal/platform/tomlfile"
	"postern/internal/policy/rulevalue"
)

// Problems collects what is wrong with a file of rules while it is read, and what is known of all rules so far.
type Problems struct {
	tomlfile.Problems
	// Lists are the places where rules name a list.
	Lists []ListUse
	// NoLists says that there are none that a rule could name.
	NoLists  bool
	programs rulevalue.Programs
	rule     int // the number of the rule that is being read
}

// NewProblems is for reading a text.
func NewProblems(text []byte) *Problems {
	return &Problems{Problems: tomlfile.Problems{Source: tomlfile.Unmarked(text)}}
}

// Root reads the text as TOML, nil where it is none.
func (p *Problems) Root() *tomlfile.Node {
	return p.Tree("write rules with longer lists instead",
		"strings stand in double quotes, lists in [ ], and each rule begins with [[rule]]")
}

package rule

import (
	"fmt"
	"strings"
)

// Box is the label of the check box that stands for unspecified_recipients = "opportunistic", wherever people read it.
const Box = "Enable Opportunistic TLS for unspecified recipients"

// MaxBecause is how many names Because is given at most.
const MaxBecause = 3

// Because says why a recipient is protected whom none of the rules names; named are some whom they name, none where
// that cannot be told.
func Because(rules, named []string) string {
	who := "another recipient"
	if len(named) > 0 {
		who = strings.Join(named, " and ")
	}
	return fmt.Sprintf(`the message also goes to %s, named by %s; a rule whose box "%s" is ticked protects nobody else`,
		who, strings.Join(rules, ", "), Box)
}

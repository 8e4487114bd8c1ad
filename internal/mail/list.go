package mail

import (
	"fmt"
	"strings"
)

// AtMost joins the texts of a list that may be long, for people: so many of them, and how many more there are. Texts
// that strangers wrote are made harmless before.
func AtMost(list []string, most int, separator string) string {
	if more := len(list) - most; more > 0 {
		return strings.Join(list[:most], separator) + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(list, separator)
}

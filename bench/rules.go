package main

import (
	"fmt"
	"strings"
)

// rulesFile makes a rules file of n rules, none of which matches the load, in the mixture a large organisation might
// have: of twenty rules sixteen name a partner's domain and what is below it, two name senders besides, one a network
// and one a pattern of the subject. "" for none.
func rulesFile(n int) string {
	var out strings.Builder
	for i := range n {
		var match string
		switch i % 20 {
		case 7, 13:
			match = fmt.Sprintf("sender = [\"office%d@example.com\"]\nrecipient = [\"partner%d.test\"]", i, i)
		case 17:
			match = fmt.Sprintf("sender_ip = [\"10.%d.%d.0/24\"]", i>>8&0xff, i&0xff)
		case 19:
			match = fmt.Sprintf("subject = [\"*[case-%d]*\"]", i)
		default:
			match = fmt.Sprintf("recipient = [\"partner%d.test\", \"*.partner%d.test\"]", i, i)
		}
		fmt.Fprintf(&out, "[[rule]]\nname = \"rule-%d\"\nscope = \"outbound\"\nmode = \"enforce\"\naction = "+
			"\"force-tls\"\n[rule.match]\n%s\n", i, match)
	}
	return out.String()
}

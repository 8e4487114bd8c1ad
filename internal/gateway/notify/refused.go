package notify

import (
	"fmt"
	"strings"

	"postern/internal/event"
)

// refused tells of a partner whose mail a rule about incoming mail refuses: the domain that sends, and where it is the
// null sender the client. What is only on trial is not told.
func (n *Notifier) refused(e *event.FellShort) {
	if e.Trial {
		return
	}
	who := e.Client.String()
	if !e.From.IsNull() {
		who = e.From.Domain.String()
	}
	showed := "no TLS"
	if e.TLS != nil {
		showed = e.TLS.Version + " with " + e.TLS.Cipher
	}
	if len(e.Names) > 0 {
		showed += " and a certificate for " + strings.Join(e.Names, ", ")
	}
	becomes := "It is told to try again later, and keeps the mail for some days."
	if !e.Later {
		becomes = "The sender hears that it was refused."
	}
	rule := strings.Join(e.Rules, ", ")
	n.Tell(Matter{
		Key:     "inbound " + rule + " " + who,
		Subject: "mail from " + who + " is refused: " + string(e.Reason),
		Text: fmt.Sprintf("The rule %s refuses mail from %s. The client %s (%s) came with %s at %s: %s. %s", rule, who,
			e.Client, e.Helo, showed, e.Listener, e.Text, becomes),
		Hint: "tell the partner what is missing; " +
			"where the mail must come in meanwhile, put the rule on trial (mode = \"test\")",
	})
}

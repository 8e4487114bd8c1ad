package recipients

import (
	"strings"

	"postern/internal/smtp"
	"postern/internal/smtp/smtpclient"
)

// word is what one reply says about a mailbox.
type word uint8

const (
	unclear  word = iota // nothing that can be acted upon
	exists               // it takes mail
	refused              // it, or this sender's mail for it, is refused
	nobody               // it is refused, and the code says that the mailbox is the reason
	noSender             // the sender was refused, the mailbox never named
)

// wordOf reads what a server answered to one sender.
func wordOf(a smtpclient.Asked) word {
	r := &a.Reply
	switch {
	case a.Command == "MAIL" && r.Permanent():
		return noSender
	case a.Command != "RCPT" || r.Temporary():
		return unclear
	case r.Positive():
		return exists
	case ofMailbox(r.Status):
		return nobody
	case ofPolicy(r) || r.Status == "" && r.Code >= 550 && r.Code <= 554:
		return refused
	}
	return unclear
}

// ofMailbox reports whether an enhanced code is about the recipient's mailbox (RFC 3463 §3.2, §3.3). 5.1.7 and 5.1.8
// are about the sender's address. 5.4.1 is what hosted Exchange says of a name that its directory does not have.
func ofMailbox(status string) bool {
	switch status {
	case "5.1.7", "5.1.8":
		return false
	case "5.4.1":
		return true
	}
	return strings.HasPrefix(status, "5.1.") || strings.HasPrefix(status, "5.2.")
}

// ofPolicy reports whether a reply refuses mail for the mailbox for who sends it, or for nobody's reason.
func ofPolicy(r *smtp.Reply) bool {
	return r.Code >= 550 && r.Code <= 554 && (strings.HasPrefix(r.Status, "5.7.") || r.Status == "5.0.0")
}

// unknown reports whether two words, of two senders, come to a clear no.
func unknown(a, b word) bool {
	switch {
	case a == noSender:
		return b == nobody
	case b == noSender:
		return a == nobody
	}
	return a >= refused && b >= refused
}

// statusOf is the enhanced code of a refusal. Mailboxes that are full are refused with a code of its own.
func statusOf(r *smtp.Reply) string {
	if r.Status == "" && r.Code == 552 {
		return "5.2.2"
	}
	return r.Status
}

// refusal is what the client hears: the class of the server's code in our own words.
func refusal(status string) *smtp.Reply {
	switch {
	case status == "5.2.2":
		return smtp.NewReply(552, "5.2.2", "the mailbox is full")
	case strings.HasPrefix(status, "5.2."):
		return smtp.NewReply(550, "5.2.1", "the mailbox takes no mail")
	case strings.HasPrefix(status, "5.7."):
		return smtp.NewReply(550, "5.7.1", "mail for this address is refused by its own server")
	}
	return smtp.NewReply(550, "5.1.1", "there is no such mailbox here")
}

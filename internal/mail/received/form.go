package received

import (
	"regexp"
	"strings"
)

var (
	sendmailVersion = regexp.MustCompile(`^(\d+\.\d+\.\d+(\.\d+)?/\d+\.\d+|PPS$)`)
	courierID       = regexp.MustCompile(`^[0-9A-F]{8,}\.[0-9A-F]{8,}\.[0-9A-F]{8,}$`)
	qmailPass       = regexp.MustCompile(`^(qmail|qmail-queue|indimail-mta|notqmail)\b.* invoked (by|from) `)
	qmailHelo       = regexp.MustCompile(`^(HELO|EHLO) `)
)

// recognise says which program writes lines like this one.
func recognise(c clauses) Form {
	if form := byComment(c); form != "" {
		return form
	}
	with := strings.ToLower(strings.Join(c.words("with"), " "))
	host := strings.ToLower(c.word("by"))
	switch {
	case slashForm.MatchString(c.word("with")):
		return IronPort
	case strings.HasSuffix(host, ".mimecast.com"):
		return Mimecast
	case anyMatch(qmailPass, c.comments("")), anyMatch(qmailHelo, c.comments("from")),
		anyMatch(qmailHelo, c.comments("")):
		return Qmail
	case strings.HasPrefix(with, "microsoft smtp"), with == "mapi", with == "shadowredundancy",
		strings.HasSuffix(host, ".outlook.com") && c.has("via"), strings.HasSuffix(host, ".exchangelabs.com"):
		return Exchange
	case strings.HasSuffix(host, ".google.com"), strings.HasSuffix(host, ".gmail.com"),
		!c.has("from") && strings.HasPrefix(host, "2002:a"):
		return Gmail
	case strings.EqualFold(c.word("via"), "tcp") && len(c.comments("by")) > 0 && isIP(c.comments("by")[0]):
		return Mox
	case anyPrefix(c.comments("from"), "TLS: ", "SSL: ", "IDENT: ", "AUTH: "), courierID.MatchString(c.word("id")):
		return Courier
	case anyPrefix(c.comments("from"), "using "):
		return PostfixLike
	}
	return Other
}

// byComment recognises the programs that name themselves in a comment.
func byComment(c clauses) Form {
	for _, text := range append(append([]string(nil), c.comments("by")...), c.own("with", "tls")...) {
		switch {
		case text == "Postern":
			return Postern
		case strings.HasPrefix(text, "Postfix"):
			return Postfix
		case strings.HasPrefix(text, "Exim "):
			return Exim
		case strings.HasPrefix(text, "OpenSMTPD"):
			return OpenSMTPD
		case strings.HasPrefix(text, "Stalwart"):
			return Stalwart
		case strings.HasPrefix(text, "Haraka"):
			return Haraka
		case strings.HasPrefix(text, "amavis"):
			return Amavis
		case strings.HasPrefix(text, "Cyrus"):
			return Cyrus
		case strings.HasPrefix(text, "JAMES SMTP Server"):
			return James
		case strings.HasPrefix(text, "CommuniGate Pro"):
			return CommuniGate
		case sendmailVersion.MatchString(text):
			return Sendmail
		}
	}
	return ""
}

func anyMatch(re *regexp.Regexp, list []string) bool {
	for _, s := range list {
		if re.MatchString(s) {
			return true
		}
	}
	return false
}

func anyPrefix(list []string, prefixes ...string) bool {
	for _, s := range list {
		for _, p := range prefixes {
			if strings.HasPrefix(s, p) {
				return true
			}
		}
	}
	return false
}

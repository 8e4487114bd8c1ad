package received

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

var heloAssign = regexp.MustCompile(`(?:^| )helo=(\S+)`)

// readBy fills in who wrote the line.
func (l *Line) readBy(c clauses) {
	l.By = strings.TrimSuffix(c.word("by"), ".")
	if ip, ok := parseIP(l.By); ok {
		l.ByIP = ip
	}
	for _, text := range c.comments("by") {
		if ip, ok := parseIP(text); ok && !l.ByIP.IsValid() {
			l.ByIP = ip
		}
	}
}

// readFrom fills in the peer: what it said (HELO), the name of its address, the address.
func (l *Line) readFrom(c clauses) {
	first, comments := c.word("from"), c.comments("from")
	if l.Form == Qmail || (l.Form == James || l.Form == IronPort || l.Form == CommuniGate) &&
		anyMatch(qmailHelo, comments) {
		l.readQmailFrom(first, append(slices.Clone(c.comments("")), comments...))
		return
	}
	l.Helo = strings.TrimSuffix(first, ".")
	for _, text := range comments {
		if l.IP.IsValid() || strings.HasPrefix(text, "using ") {
			break
		}
		l.readPeerComment(text)
	}
	if l.Form == Exim {
		l.readEximFrom(first, comments)
	}
	l.Name = known(l.Name)
	switch l.Form {
	case Postfix, Exim, Courier:
		l.NameChecked = true
	case Sendmail:
		l.NameChecked = !slices.ContainsFunc(comments,
			func(s string) bool { return strings.Contains(s, "may be forged") })
	}
}

// readPeerComment reads "name [address]", "[address]", "(address)" or "user@name [address]" (TCP-info of RFC 5321
// §4.4). The address is looked for where the writer puts it and nowhere else: names that peers chose may look like one.
func (l *Line) readPeerComment(text string) {
	if l.Form != Stalwart { // which ends the comment with the name of the peer's network
		text = text[strings.LastIndexByte(text, '@')+1:]
	}
	first, rest, _ := strings.Cut(text, " ")
	second, _, _ := strings.Cut(rest, " ")
	if ip, ok := parseIP(second); ok {
		l.IP, l.Name = ip, strings.TrimSuffix(first, ".")
	} else if ip, ok := parseIP(first); ok {
		l.IP = ip
	}
}

// readEximFrom reads Exim's order: the name of the address first, what the peer said in the comment if it differs.
func (l *Line) readEximFrom(first string, comments []string) {
	name := strings.TrimSuffix(first, ".")
	if ip, ok := parseIP(first); ok && strings.HasPrefix(first, "[") && !l.IP.IsValid() {
		l.IP, name = ip, ""
	}
	l.Name, l.Helo = name, name
	for _, text := range comments {
		if m := heloAssign.FindStringSubmatch(text); m != nil {
			l.Helo = m[1]
			break
		}
	}
	if l.Helo == "" {
		l.Helo = first
	}
	if !l.IP.IsValid() { // a local user, or only a claim
		l.Name = ""
	}
}

// readQmailFrom reads "name (HELO said) (user@address)".
func (l *Line) readQmailFrom(first string, comments []string) {
	l.Name, l.Helo = known(first), first
	for _, text := range comments {
		if qmailHelo.MatchString(text) {
			l.Helo = strings.TrimSpace(text[5:])
			continue
		}
		if ip, ok := parseIP(text[strings.LastIndexByte(text, '@')+1:]); ok && !l.IP.IsValid() {
			l.IP = ip
		}
	}
}

// known returns a looked-up name, "" for the words that stand for none.
func known(name string) string {
	if strings.EqualFold(strings.Trim(name, "<>"), "unknown") || isIP(name) {
		return ""
	}
	return name
}

func isIP(s string) bool {
	_, ok := parseIP(s)
	return ok
}

// parseIP reads an address as lines have it: bare or in brackets, tagged IPv6, with a zone or a port after the bracket.
func parseIP(s string) (netip.Addr, bool) {
	if len(s) > 80 {
		return netip.Addr{}, false
	}
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return netip.Addr{}, false
		}
		s = s[1:end]
	}
	if len(s) > 5 && strings.EqualFold(s[:5], "ipv6:") {
		s = s[5:]
	}
	ip, err := netip.ParseAddr(s)
	return ip.Unmap().WithZone(""), err == nil
}

// readInside finds the lines that record no way over a network. Only words that the writer alone can put where they
// stand count: a peer may call itself "[local]".
func (l *Line) readInside(c clauses) {
	with := strings.ToLower(c.word("with"))
	local := strings.HasPrefix(with, "local") || anyMatch(qmailPass, c.comments("")) ||
		anyPrefix(c.comments("by"), "Postfix, from userid ") || !c.has("from") && anyPrefix(c.comments(""), "from ")
	if !l.IP.IsValid() {
		local = local || strings.HasPrefix(strings.TrimPrefix(with, "utf8"), "lmtp") ||
			slices.Contains(c.comments("from"), "[unix socket]") ||
			l.Form == OpenSMTPD && slices.ContainsFunc(c.comments("from"),
				func(s string) bool { return strings.HasSuffix(s, " [local]") })
	}
	l.SameHost = local || l.IP.IsValid() && (l.IP.IsLoopback() || l.IP == l.ByIP)
	silent := !c.has("from") && !l.IP.IsValid() && l.Helo == ""
	l.Inside = l.SameHost || silent || with == "mapi"
}

package headers

import (
	"fmt"
	"strings"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/internal/mail/received"
	"postern/internal/smtp"
)

// How the way of a message is shown: three lines that answer, a table, the details of each hop, and what no header can
// prove.

// showHops prints the whole page.
func showHops(a *cli.App, r *received.Report, named bool) {
	if len(r.Hops) == 0 {
		fmt.Fprintln(a.Stdout, "No Received line: nothing is recorded about how this message travelled.")
		return
	}
	sum := r.Sum()
	for i, line := range []string{countLine(sum), whichLine(r), proofLine(r)} {
		text := cli.Fit(line, 80)
		if i == 0 && a.Colour() {
			text = "\x1b[" + verdictColour(sum) + "m" + text + "\x1b[0m"
		}
		fmt.Fprintln(a.Stdout, text)
	}
	fmt.Fprintln(a.Stdout)
	hopTable(a, r)
	for i := range r.Hops {
		showHop(a, &r.Hops[i])
	}
	showLimits(a, r, named)
}

// countLine says how many hops were encrypted.
func countLine(s received.Sum) string {
	n := s.Network()
	switch {
	case n == 0:
		return "No hop over a network is recorded; the lines tell of one system alone."
	case s.Yes == n && n == 1:
		return "The one hop over a network was encrypted."
	case s.Yes == n:
		return fmt.Sprintf("All %d hops over a network were encrypted.", n)
	}
	var parts []string
	for _, p := range []struct {
		n    int
		text string
	}{{s.Yes, "encrypted"}, {s.Claimed, "claimed to be encrypted"}, {s.No, "NOT encrypted"}, {s.Unknown, "not said"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.text))
		}
	}
	return cli.Plural(n, "hop") + " over a network: " + strings.Join(parts, ", ") + "."
}

func verdictColour(s received.Sum) string {
	switch {
	case s.No > 0:
		return "31"
	case s.Network() == 0 || s.Yes < s.Network():
		return "33"
	}
	return "32"
}

// whichLine names the hops that were not encrypted, or may not have been.
func whichLine(r *received.Report) string {
	var no, unknown []int
	for i := range r.Hops {
		switch h := &r.Hops[i]; {
		case h.Inside:
		case h.State == received.No:
			no = append(no, h.Number)
		case h.State == received.Unknown:
			unknown = append(unknown, h.Number)
		}
	}
	var parts []string
	if len(no) > 0 {
		parts = append(parts, "NOT encrypted: "+numbers(no)+".")
	}
	if len(unknown) > 0 {
		parts = append(parts, "Not said: "+numbers(unknown)+".")
	}
	if len(parts) == 0 {
		return "No line tells of a hop over a network without encryption."
	}
	return strings.Join(parts, " ")
}

// proofLine says where proof ends.
func proofLine(r *received.Report) string {
	n := len(r.Hops)
	if r.Proven <= 1 {
		return "All lines are by hosts you trust. Encrypted does not mean authenticated."
	}
	proven := fmt.Sprintf("Only hops %d-%d are proven", r.Proven, n)
	if r.Proven == n {
		proven = fmt.Sprintf("Only hop %d is proven", n)
	}
	if r.Proven == 2 {
		return proven + "; the line of hop 1 may have been written by anybody."
	}
	return proven + fmt.Sprintf("; the lines of hops 1-%d may be by anybody.", r.Proven-1)
}

// hopTable prints one row for each hop.
func hopTable(a *cli.App, r *received.Report) {
	const names = 42
	rows := a.NewTable(cli.Col("HOP", 3), cli.Col("TOOK", 7), cli.Col("TLS", 9), cli.Col("VERSION", 8),
		cli.Col("PROVEN", 6), cli.Col("FROM -> BY", 0))
	for i := range r.Hops {
		h := &r.Hops[i]
		proven := "no"
		if h.Trusted {
			proven = "yes"
		}
		rows.Row(fmt.Sprint(h.Number), took(h), stateWord(h), dash(h.Version), proven, fromTo(fromText(h), h.By, names))
	}
}

// stateWord is the channel in a table: a word of its own for each state, so that colour is never needed.
func stateWord(h *received.Hop) string {
	switch {
	case h.Inside:
		return "inside"
	case h.State == received.Yes:
		return "encrypted"
	case h.State == received.Claimed:
		return "claimed"
	case h.State == received.No:
		return "PLAIN"
	}
	return "not said"
}

// stateText is the channel in the details.
func stateText(h *received.Hop) string {
	switch word := stateWord(h); word {
	case "inside":
		return "inside one system"
	case "claimed":
		return "claimed to be encrypted"
	case "PLAIN":
		return "NOT encrypted"
	case "not said":
		return "whether it was encrypted is not said"
	default:
		return word
	}
}

func fromText(h *received.Hop) string {
	switch {
	case h.Helo != "":
		return h.Helo
	case h.Name != "":
		return h.Name
	case h.IP.IsValid():
		return h.IP.String()
	}
	return ""
}

// fromTo joins two names in width columns, shortening the longer one first.
func fromTo(from, by string, width int) string {
	from, by = smtp.Printable(dash(from), 300), smtp.Printable(dash(by), 300)
	const arrow = " -> "
	room := width - len(arrow)
	half := room / 2
	f, b := len([]rune(from)), len([]rune(by))
	if f+b > room {
		from = cli.Fit(from, max(half, room-b))
		by = cli.Fit(by, room-len([]rune(from)))
	}
	return from + arrow + by
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// took is the time a hop needed: "3s", "2m05s", "-4s", "3d02h".
func took(h *received.Hop) string {
	if !h.HasDelay {
		return "-"
	}
	sign, d := "", h.Delay.Truncate(time.Second)
	if d < 0 {
		sign, d = "-", -d
	}
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%s%ds", sign, s)
	case s < 3600:
		return fmt.Sprintf("%s%dm%02ds", sign, s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%s%dh%02dm", sign, s/3600, s/60%60)
	case s < 1000*86400:
		return fmt.Sprintf("%s%dd%02dh", sign, s/86400, s/3600%24)
	}
	return sign + "years"
}

// showHop prints everything known about one hop.
func showHop(a *cli.App, h *received.Hop) {
	proof := "a claim"
	if h.Trusted {
		proof = "proven"
	}
	fmt.Fprintf(a.Stdout, "\nHop %d, %s: %s\n", h.Number, proof, stateText(h))
	from := h.Helo
	if h.IP.IsValid() {
		from += " [" + h.IP.String() + "]"
	}
	if h.Name != "" && h.Name != h.Helo {
		from += " whose address is called " + h.Name
	}
	a.Detail("  ", "From", strings.TrimSpace(from))
	a.Detail("  ", "By", h.By)
	a.Detail("  ", "With", h.With)
	a.Detail("  ", "Id", h.ID)
	a.Detail("  ", "For", h.For)
	if !h.Date.IsZero() {
		date := h.Date
		a.Detail("  ", "Date", cli.Clock(&date)+tookText(h))
	}
	a.Detail("  ", "TLS", sessionText(h))
	a.Detail("  ", "Client cert", clientText(h))
	a.Detail("  ", "Form", fmt.Sprintf("%s (line %d of the text)", h.Form, h.Field.Line))
	for _, note := range h.Notes {
		a.Detail("  ", "Note", note)
	}
}

func tookText(h *received.Hop) string {
	if !h.HasDelay {
		return ""
	}
	return ", " + took(h) + " after the line before"
}

// sessionText is what the line says about the TLS session.
func sessionText(h *received.Hop) string {
	text := strings.TrimSpace(h.Version + " " + h.Cipher)
	switch {
	case h.Bits > 0 && h.BitsTotal > 0:
		text += fmt.Sprintf(" (%d/%d bits)", h.Bits, h.BitsTotal)
	case h.Bits > 0:
		text += fmt.Sprintf(" (%d bits)", h.Bits)
	}
	if h.Group != "" {
		text += ", key exchange " + h.Group
	}
	if h.Signature != "" {
		text += ", server signature " + h.Signature
	}
	return text
}

func clientText(h *received.Hop) string {
	if h.ClientCN == "" {
		return string(h.Client)
	}
	return fmt.Sprintf("%s, for %q", h.Client, h.ClientCN)
}

// showLimits says what no header can prove, and what would prove more.
func showLimits(a *cli.App, r *received.Report, named bool) {
	fmt.Fprintln(a.Stdout, "\nWhat these lines cannot prove")
	if r.Proven > 1 {
		bullet(a, fmt.Sprintf("Whoever handed over the message at hop %d can have written all lines below it, "+
			"times and TLS included. They are claims.", r.Proven))
		if r.Why != "" {
			bullet(a, fmt.Sprintf("The proof ends above the line of hop %d, which was %s.", r.Proven-1, r.Why))
		}
		if !named {
			bullet(a, "--trust NAME says which other hosts are yours or write honest lines; the proof then reaches "+
				"as far as their lines vouch for each other.")
		}
	}
	bullet(a, "Encrypted is not authenticated: a line says that there was TLS, not that the sender checked whose "+
		"certificate it was.")
	bullet(a, "A server that writes no line leaves no trace, and inside one system mail may travel as it likes.")
	bullet(a, "The last way, from the server to the mailbox and from there to the reader, is in no header.")
}

// bullet prints a paragraph with a mark before it, wrapped at 80 columns.
func bullet(a *cli.App, text string) { a.DetailAt("  ", "*", 2, text) }

// numbers is "hop 3", "hops 1, 2 and 5", or "hops 1-4 and 6".
func numbers(hops []int) string {
	var parts []string
	for i := 0; i < len(hops); {
		j := i
		for j+1 < len(hops) && hops[j+1] == hops[j]+1 {
			j++
		}
		switch {
		case j > i+1:
			parts = append(parts, fmt.Sprintf("%d-%d", hops[i], hops[j]))
		case j > i:
			parts = append(parts, fmt.Sprint(hops[i]), fmt.Sprint(hops[j]))
		default:
			parts = append(parts, fmt.Sprint(hops[i]))
		}
		i = j + 1
	}
	last := len(parts) - 1
	text := strings.Join(parts[:max(last, 0)], ", ")
	if last > 0 {
		text += " and "
	}
	if len(hops) == 1 {
		return "hop " + parts[0]
	}
	return "hops " + text + parts[last]
}

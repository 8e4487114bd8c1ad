package check

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"postern/internal/policy"
)

// Letter writes a message that an administrator can forward to whoever runs the target's mail servers: what was seen,
// how to see it again, what would help. us is the name our side is known by. It is "" where nothing fell short of the
// strictest question, or where nothing of it can be mended on the other side.
func Letter(r *Report, us string) string {
	last := &r.Verdicts[len(r.Verdicts)-1]
	var found []*Verdict
	r.Each(func(_ *Host, a *Address) {
		if v := &a.Verdicts[len(a.Verdicts)-1]; !v.Passes() && v.Reason != "" && v.Who != policy.Us {
			found = append(found, v)
		}
	})
	if len(found) == 0 && !last.Passes() && last.Who != policy.Us {
		found = append(found, last)
	}
	if len(found) == 0 {
		return ""
	}
	l := &letter{report: r}
	l.opening(us, last)
	for _, v := range found {
		l.finding(v)
	}
	l.findings()
	l.advice(found)
	l.again(found)
	l.closing(last)
	return l.b.String()
}

// letter is one that is being written.
type letter struct {
	b      strings.Builder
	report *Report
}

// letterWidth is the width of a line, for mail that is quoted once or twice.
const letterWidth = 72

// say writes a paragraph, wrapped, with an indent.
func (l *letter) say(indent, text string) {
	line := indent
	for _, word := range strings.Fields(text) {
		if line != indent && len(line)+1+len(word) > letterWidth {
			l.b.WriteString(line + "\n")
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	l.b.WriteString(line + "\n")
}

func (l *letter) gap() { l.b.WriteString("\n") }

// fact writes "label: value" with the value hanging; nothing for an empty value.
func (l *letter) fact(label, value string) {
	if value == "" {
		return
	}
	const wide = 16
	begin := "    " + label + strings.Repeat(" ", max(1, wide-len(label)))
	var body letter
	body.say(strings.Repeat(" ", len(begin)), value)
	l.b.WriteString(begin + strings.TrimLeft(body.b.String(), " "))
}

func (l *letter) opening(us string, v *Verdict) {
	l.b.WriteString("Subject: TLS at the mail servers of " + l.report.Target + ": " + string(v.Reason) + "\n\n")
	l.say("", "Hello,")
	l.gap()
	l.say("", fmt.Sprintf("some of our mail to %s must be encrypted and may only go to a server that proves who it "+
		"is. Our mail gateway, %s, could not establish that. This is what it saw on %s.", l.report.Target, us,
		l.report.At.Format("2006-01-02 15:04:05 UTC")))
	l.gap()
	l.b.WriteString("WHAT WE SAW\n\n")
}

func (l *letter) finding(v *Verdict) {
	if v.Host != "" || v.IP.IsValid() {
		l.say("  ", place(v.Host, v.IP))
	}
	l.fact("result", string(v.Reason)+": "+v.Text)
	for i, s := range v.Shortfalls {
		if i > 0 {
			l.fact("also", string(s.Reason)+": "+s.Text)
		}
	}
	for _, t := range v.Tries {
		if t.Reason == v.Reason && t.Remote != "" {
			l.fact("server's words", t.Remote)
			break
		}
	}
	for _, t := range v.Tries {
		if t.Alert != "" {
			l.fact("TLS alert", t.Alert)
			break
		}
	}
	if v.TLS != nil {
		l.fact("TLS", strings.Join(strings.Fields(v.TLS.Version+" "+v.TLS.Cipher+" "+v.TLS.Group), " "))
	}
	if a := l.address(v.IP); a != nil && a.Look != nil {
		l.look(a.Look)
	}
	l.gap()
}

func (l *letter) address(ip netip.Addr) (found *Address) {
	l.report.Each(func(_ *Host, a *Address) {
		if a.IP == ip && found == nil {
			found = a
		}
	})
	return found
}

func (l *letter) look(k *Look) {
	l.fact("EHLO offers", strings.Join(k.Offered, ", "))
	l.fact("name expected", strings.Join(k.Expected, ", "))
	for i, c := range k.Chain {
		label := "certificate"
		if i > 0 {
			label = "sent with it"
		}
		l.fact(label, c.Subject)
		l.fact("  issued by", c.Issuer)
		l.fact("  valid", c.NotBefore.Format(time.RFC3339)+" to "+c.NotAfter.Format(time.RFC3339))
		if i == 0 {
			l.fact("  names", strings.Join(c.DNSNames, ", "))
		}
		l.fact("  key", c.Key+", signed with "+c.Signature)
		l.b.WriteString("      SHA-256\n      " + c.SHA256 + "\n")
	}
}

// findings writes what else the other side should know.
func (l *letter) findings() {
	for _, f := range l.report.Findings {
		if f.Who == policy.Them && f.Severity != Note {
			l.say("  ", "Also: "+f.Text+".")
			l.gap()
		}
	}
}

func (l *letter) advice(found []*Verdict) {
	l.b.WriteString("WHAT WOULD HELP\n\n")
	said := map[policy.Reason]bool{}
	for _, v := range found {
		if !said[v.Reason] {
			said[v.Reason] = true
			l.say("  ", advice(v.Reason))
			l.gap()
		}
	}
}

// again says how to see the same with tools that everybody has.
func (l *letter) again(found []*Verdict) {
	v := found[0]
	port := uint16(25)
	for i := range l.report.Hosts {
		if l.report.Hosts[i].Name == v.Host {
			port = l.report.Hosts[i].Port
		}
	}
	l.b.WriteString("HOW TO SEE IT AGAIN\n\n")
	switch {
	case v.IP.IsValid():
		command := fmt.Sprintf("openssl s_client -starttls smtp -showcerts \\\n      -connect %s",
			netip.AddrPortFrom(v.IP, port))
		if v.Host != "" {
			command += " \\\n      -servername " + v.Host
		}
		l.b.WriteString("  " + command + "\n\n")
	default:
		l.b.WriteString("  dig MX " + l.report.Target + "\n\n")
	}
}

func (l *letter) closing(v *Verdict) {
	l.say("", fmt.Sprintf("Until then such mail waits on our side and is returned to its senders when it has "+
		"waited too long. Nothing needs to be arranged with us: as soon as the test passes the mail goes by "+
		"itself. The code of the finding, for your records, is %s.", v.Reason))
}

func place(host string, ip netip.Addr) string {
	switch {
	case host == "":
		return "[" + ip.String() + "]"
	case !ip.IsValid():
		return host
	}
	return host + " [" + ip.String() + "]"
}

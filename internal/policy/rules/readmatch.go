package rules

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy/pattern"
)

// addresses is a list of patterns of addresses.
func addresses(at func(*Rule) *[]string, nullAllowed bool) kind {
	return list(at, func(p *problems, key, value string, at tomlfile.Span) {
		if name, is := strings.CutPrefix(value, listWord); is {
			p.lists.uses = append(p.lists.uses, listUse{name, p.lists.rule, at})
			return
		}
		if err := pattern.CheckAddress(value, nullAllowed); err != nil {
			p.Add(at, fmt.Sprintf("%s in %s: %v", tomlfile.Quote(tomlfile.Clip(value)), key, err),
				"write an address, a domain, *.domain, list: and the name of a list, a pattern with * and ?, or "+
					"re: and an RE2 expression")
		}
	})
}

func readSenderIP(p *problems, r *Rule, e tomlfile.Entry) {
	p.Strings(e, func(value string, at tomlfile.Span) {
		if ip, err := netip.ParseAddr(value); err == nil && ip.Zone() == "" {
			ip = ip.Unmap()
			r.Match.SenderIP = append(r.Match.SenderIP, netip.PrefixFrom(ip, ip.BitLen()))
			return
		}
		network, err := netip.ParsePrefix(value)
		switch {
		case err != nil || network.Addr().Is4In6():
			p.Add(at, fmt.Sprintf("%s is no IP address or network", tomlfile.Quote(tomlfile.Clip(value))),
				"write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32")
		case network != network.Masked():
			p.Add(at, fmt.Sprintf("the network %s has bits beyond its length", tomlfile.Quote(tomlfile.Clip(value))),
				"write "+network.Masked().String())
		default:
			r.Match.SenderIP = append(r.Match.SenderIP, network)
		}
	})
}

func networkTexts(r *Rule) any {
	var out []string
	for _, n := range r.Match.SenderIP {
		out = append(out, n.String())
	}
	return out
}

// networksTOML prints networks of one address as that address.
func networksTOML(r *Rule) string {
	values := make([]string, len(r.Match.SenderIP))
	for i, p := range r.Match.SenderIP {
		values[i] = p.String()
		if p.IsSingleIP() {
			values[i] = p.Addr().String()
		}
	}
	return tomlfile.QuoteList(values)
}

// parseSize reads "10MB", "512 KiB" or a plain number of bytes.
func parseSize(s string) (int64, bool) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	unit := strings.TrimLeft(s[digits:], " ")
	if err != nil {
		return 0, false
	}
	if unit == "" {
		return n, true
	}
	for _, u := range units {
		if strings.EqualFold(unit, u.name) {
			return n * u.size, n <= (1<<63-1)/u.size
		}
	}
	return 0, false
}

func readSizeOver(p *problems, r *Rule, e tomlfile.Entry) {
	if k := e.Value.Kind; k == unstable.String || k == unstable.Integer {
		text := e.Value.Text
		if k == unstable.Integer {
			text = strings.ReplaceAll(text, "_", "")
		}
		if n, ok := parseSize(text); ok && n > 0 {
			r.Match.SizeOver = n
			return
		}
	}
	p.Add(e.Value.At, "size_over is no size above zero",
		`write a number of bytes, or one with a unit: "10MB" is 10,000,000 bytes, "10MiB" is 10,485,760`)
}

func readRecipientsOver(p *problems, r *Rule, e tomlfile.Entry) {
	if e.Value.Kind == unstable.Integer {
		n, err := strconv.ParseInt(strings.ReplaceAll(e.Value.Text, "_", ""), 0, 32)
		if err == nil && n > 0 {
			r.Match.RecipientsOver = int(n)
			return
		}
	}
	p.Add(e.Value.At, "recipients_over is no whole number above zero",
		"recipients_over = 50 holds for 51 recipients and more")
}

func checkText(p *problems, key, value string, at tomlfile.Span) {
	pattern, err := pattern.CompileText(value, false)
	before := p.programs
	p.programs += pattern.Size()
	switch {
	case before <= maxPrograms && p.programs > maxPrograms:
		p.Add(at, "the expressions of all rules together are too large when compiled",
			"write text with * and ? where an re: expression is not needed, or fewer counted repetitions such as "+
				"{1,50}")
	case err != nil:
		p.Add(at, fmt.Sprintf("%s in %s: %v", tomlfile.Quote(tomlfile.Clip(value)), key, err),
			"write text with * and ?, which must fit the whole value, or re: and an RE2 expression")
	}
}

func readHeader(p *problems, r *Rule, e tomlfile.Entry) {
	const form = `write header = [{ name = "X-Classification", value = "secret*" }]`
	if e.Value.Kind != unstable.Array || len(e.Value.Items) == 0 {
		p.Add(e.Value.At, "header must be a list of names and values", form)
		return
	}
	for _, item := range e.Value.Items {
		if item.Kind != unstable.Table {
			p.Add(item.At, "a value of header must be a table, not "+tomlfile.KindName(item.Kind), form)
			continue
		}
		if h, ok := headerMatch(p, item, form); ok {
			r.Match.Header = append(r.Match.Header, h)
		}
	}
}

func headerMatch(p *problems, item *tomlfile.Node, form string) (h HeaderMatch, ok bool) {
	before := p.Len()
	for _, k := range item.Keys {
		switch k.Key {
		case "name":
			if h.Name, ok = p.Text(k); ok && !validFieldName(h.Name) {
				p.Add(k.Value.At, fmt.Sprintf("%s is no name of a header field", tomlfile.Quote(tomlfile.Clip(h.Name))),
					"write it without the colon")
			}
		case "value":
			if h.Value, ok = p.Text(k); ok {
				checkText(p, "header", h.Value, k.Value.At)
			}
		default:
			p.Add(k.At, fmt.Sprintf("unknown key %s in header", tomlfile.Quote(tomlfile.Clip(k.Key))), form)
		}
	}
	if item.Get("name") == nil {
		p.Add(item.At, "a value of header needs a name", form)
	}
	return h, p.Len() == before
}

// validFieldName asks for what a scanner of headers can find (RFC 5322 §3.6.8).
func validFieldName(s string) bool {
	return s != "" && len(s) <= 100 && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || c == ':'
	})
}

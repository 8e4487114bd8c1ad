package rules

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// addresses is a list of patterns of addresses.
func addresses(at func(*Rule) *[]string, nullAllowed bool) kind {
	return list(at, func(p *problems, key, value string, at span) {
		var scratch addressList
		if err := scratch.compileAddress(value, nullAllowed); err != nil {
			p.add(at, fmt.Sprintf("%s in %s: %v", quote(clip(value)), key, err),
				"write an address, a domain, *.domain, a pattern with * and ?, or re: and an RE2 expression")
		}
	})
}

func readSenderIP(p *problems, r *Rule, e entry) {
	strs(p, e, func(value string, at span) {
		if ip, err := netip.ParseAddr(value); err == nil && ip.Zone() == "" {
			ip = ip.Unmap()
			r.Match.SenderIP = append(r.Match.SenderIP, netip.PrefixFrom(ip, ip.BitLen()))
			return
		}
		network, err := netip.ParsePrefix(value)
		switch {
		case err != nil || network.Addr().Is4In6():
			p.add(at, fmt.Sprintf("%s is no IP address or network", quote(clip(value))), "write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32")
		case network != network.Masked():
			p.add(at, fmt.Sprintf("the network %s has bits beyond its length", quote(clip(value))), "write "+network.Masked().String())
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
	return quoteList(values)
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

func readSizeOver(p *problems, r *Rule, e entry) {
	if k := e.value.kind; k == unstable.String || k == unstable.Integer {
		text := e.value.text
		if k == unstable.Integer {
			text = strings.ReplaceAll(text, "_", "")
		}
		if n, ok := parseSize(text); ok && n > 0 {
			r.Match.SizeOver = n
			return
		}
	}
	p.add(e.value.at, "size_over is no size above zero",
		`write a number of bytes, or one with a unit: "10MB" is 10,000,000 bytes, "10MiB" is 10,485,760`)
}

func readRecipientsOver(p *problems, r *Rule, e entry) {
	if e.value.kind == unstable.Integer {
		n, err := strconv.ParseInt(strings.ReplaceAll(e.value.text, "_", ""), 0, 32)
		if err == nil && n > 0 {
			r.Match.RecipientsOver = int(n)
			return
		}
	}
	p.add(e.value.at, "recipients_over is no whole number above zero", "recipients_over = 50 holds for 51 recipients and more")
}

// truth reads true or false.
func truth(p *problems, e entry) bool {
	if e.value.kind != unstable.Bool {
		p.add(e.value.at, e.key+" must be true or false, not "+kindName(e.value.kind), "write "+e.key+" = true")
		return false
	}
	return e.value.text == "true"
}

func checkText(p *problems, key, value string, at span) {
	pattern, err := compileText(value, false)
	before := p.programs
	p.programs += pattern.size()
	switch {
	case before <= maxPrograms && p.programs > maxPrograms:
		p.add(at, "the expressions of all rules together are too large when compiled",
			"write text with * and ? where an re: expression is not needed, or fewer counted repetitions such as {1,50}")
	case err != nil:
		p.add(at, fmt.Sprintf("%s in %s: %v", quote(clip(value)), key, err),
			"write text with * and ?, which must fit the whole value, or re: and an RE2 expression")
	}
}

func readHeader(p *problems, r *Rule, e entry) {
	const form = `write header = [{ name = "X-Classification", value = "secret*" }]`
	if e.value.kind != unstable.Array || len(e.value.items) == 0 {
		p.add(e.value.at, "header must be a list of names and values", form)
		return
	}
	for _, item := range e.value.items {
		if item.kind != unstable.Table {
			p.add(item.at, "a value of header must be a table, not "+kindName(item.kind), form)
			continue
		}
		if h, ok := headerMatch(p, item, form); ok {
			r.Match.Header = append(r.Match.Header, h)
		}
	}
}

func headerMatch(p *problems, item *node, form string) (h HeaderMatch, ok bool) {
	before := len(p.list)
	for _, k := range item.keys {
		switch k.key {
		case "name":
			if h.Name, ok = str(p, k); ok && !validFieldName(h.Name) {
				p.add(k.value.at, fmt.Sprintf("%s is no name of a header field", quote(clip(h.Name))), "write it without the colon")
			}
		case "value":
			if h.Value, ok = str(p, k); ok {
				checkText(p, "header", h.Value, k.value.at)
			}
		default:
			p.add(k.at, fmt.Sprintf("unknown key %s in header", quote(clip(k.key))), form)
		}
	}
	if item.get("name") == nil || item.get("value") == nil {
		p.add(item.at, "a value of header needs a name and a value", form)
	}
	return h, len(p.list) == before
}

// validFieldName asks for what a scanner of headers can find (RFC 5322 §3.6.8).
func validFieldName(s string) bool {
	return s != "" && len(s) <= 100 && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == ':' })
}

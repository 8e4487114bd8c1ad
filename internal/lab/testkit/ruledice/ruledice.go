// Package ruledice makes random rules, and random messages for them.
//
// Both come from one small world, so that they meet often. It is for tests of what rules decide and how they differ.
package ruledice

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/testkit/chance"
	"postern/internal/mail"
	"postern/internal/mail/mimewalk"
	"postern/internal/policy"
	"postern/internal/policy/rule"
	"postern/internal/policy/rulematch"
	"postern/internal/policy/rulevalue"
)

// Now is when the messages come.
var Now = time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)

// Lists are the lists that rules of the small world name, as a rules file.
const Lists = `
[[list]]
name = "near"
values = ["a.test", "*.b.test", "Bob@x.a.test", "bücher.test"]
[[list]]
name = "Far"
values = ["*.a.test", "ann@B.test"]
`

// File is a rules file with these rules and the lists that they may name.
func File(rules ...rule.Rule) []byte {
	var b strings.Builder
	for _, r := range rules {
		b.WriteString(r.TOML())
	}
	return []byte(b.String() + Lists)
}

// Inbound is a random rule about incoming mail.
func (d Dice) Inbound(name string) rule.Rule {
	r := d.Rule(name)
	r.Action, r.ForceTLS, r.Receipt = rule.RequireTLSAction, rule.Default().ForceTLS, ""
	r.Scope = Pick(d, rule.Inbound, rule.Inbound, rule.Inbound, rule.Disabled)
	m := r.Match
	r.Match = rule.Match{Sender: m.Sender, Recipient: m.Recipient, SenderIP: m.SenderIP, Case: m.Case,
		Listener: Some(d, "smtp", "[::]:25")}
	u := r.Unless
	r.Unless = rule.Match{Sender: u.Sender, Recipient: u.Recipient, SenderIP: u.SenderIP, Case: u.Case}
	r.Domain, r.Below = nil, false
	if d.IntN(2) == 0 { // many conditions at once match nothing
		r.Match.Sender, r.Match.SenderIP = nil, nil
	}
	r.RequireTLS = rule.Default().RequireTLS
	f := &r.RequireTLS
	f.MinTLS, f.MinBits = Pick[uint16](d, 0x301, 0x303, 0x304), Pick(d, 0, 128, 256)
	f.KeyExchange = Pick(d, policy.AnyExchange, policy.HybridExchange)
	f.Refuse = Pick(d, rule.RefuseDefer, rule.RefuseReject)
	if d.IntN(2) == 0 {
		f.Level = policy.Authenticated
		f.Names = Pick(d, policy.Names{Domain: true}, policy.Names{List: []string{"*.a.test", "b.test"}})
		f.Trust = Pick(d, "public", "/ca.pem")
		f.Revocation = Pick(d, policy.RevocationOff, policy.RevocationCheck, policy.RevocationRequire)
		f.Pins = Some(d, "sha256:"+strings.Repeat("ab", 32))
	}
	return r
}

// Dice makes random rules and messages from a small world, so that they meet often.
type Dice struct{ chance.Dice }

// Roll begins with a seed that a failed test prints.
func Roll(t *testing.T) Dice { return Dice{chance.Roll(t)} }

// Pick is one of a list.
func Pick[T any](d Dice, list ...T) T { return chance.Pick(d.Dice, list...) }

// Some are some of a list, in its order.
func Some[T any](d Dice, list ...T) []T {
	var out []T
	for _, v := range list {
		if d.IntN(3) == 0 {
			out = append(out, v)
		}
	}
	return out
}

// Address is an address of the small world.
func (d Dice) Address() string {
	return Pick(d, "ann", "Bob", `"c d"`, "müller", "x.y") + "@" +
		Pick(d, "a.test", "B.test", "x.a.test", "y.x.a.test", "bücher.test", "xn--bcher-kva.test", "[192.0.2.1]")
}

// AddressPattern is what a rule may say of addresses.
func (d Dice) AddressPattern() string {
	return Pick(d, d.Address(), "a.test", "b.test", "*.a.test", "*.test", "*", "bücher.test", "ann@*", "a*@*.a.test",
		"?.test", "*a.test", "list:near", "list:far", "re:^ann@", "re:[^b].test$", "b??@b.test", "x.*", "*@bücher.test",
		"MÜLLER@b.test")
}

// Patterns are some of these, none for no condition.
func (d Dice) Patterns() []string {
	if d.IntN(3) == 0 {
		return nil
	}
	out := []string{d.AddressPattern()}
	for d.IntN(2) == 0 {
		out = append(out, d.AddressPattern())
	}
	return out
}

// Rule is a rule that forces TLS.
func (d Dice) Rule(name string) rule.Rule {
	r := rule.Default()
	r.Name, r.Action = name, rule.ForceTLSAction
	r.Description = Pick(d, "", "why\tnot", `"quoted" \ text`, "ümlaut\u202e")
	r.Description = strings.Map(func(c rune) rune {
		if c == '\t' || c == '\u202e' {
			return ' '
		}
		return c
	}, r.Description)
	r.Scope = Pick(d, rule.Outbound, rule.Outbound, rule.Outbound, rule.Disabled)
	r.Mode = Pick(d, rule.Enforce, rule.Enforce, rule.Test)
	r.Expires = Pick(d, rulevalue.Expiry{}, rulevalue.Expiry{},
		rulevalue.Expiry{At: Now.Add(time.Hour)}, rulevalue.Expiry{At: Now.Add(-time.Hour)},
		rulevalue.Expiry{At: time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC), Date: true},
		rulevalue.Expiry{At: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC), Date: true})
	r.Match = rule.Match{
		Sender: d.Patterns(), Recipient: d.Patterns(), Literals: d.IntN(3) == 0,
		SenderIP: Some(d, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"),
			netip.MustParsePrefix("192.0.2.1/32")),
		Header:   Some(d, rulevalue.HeaderMatch{Name: "X-A", Value: "1*"}, rulevalue.HeaderMatch{Name: "Subject", Value: `*\**`}, rulevalue.HeaderMatch{Name: "x-a", Value: "re:2|3"}, rulevalue.HeaderMatch{Name: "From", Value: ""}),
		Subject:  Some(d, "*secret*", "re:^HELLO", "?ello"),
		SizeOver: Pick[int64](d, 0, 0, 0, 500, 10_000_000, 1<<20), RecipientsOver: Pick(d, 0, 0, 0, 1, 2),
		Case: d.IntN(3) == 0,
	}
	if d.IntN(2) == 0 { // most conditions at once match nothing
		r.Match.Header, r.Match.Subject, r.Match.SenderIP = nil, nil, nil
	} else if d.IntN(3) == 0 {
		r.Match.Attachment, r.Match.Body = Some(d, "*.pdf", "*/zip"), Some(d, "*secret*", "re:^HELLO")
	}
	if d.IntN(4) == 0 {
		r.Match.Sender = append(r.Match.Sender, "<>")
	}
	if d.IntN(4) == 0 {
		r.Domain = Some(d, mail.MustDomain("a.test"), mail.MustDomain("b.test"), mail.MustDomain("x.a.test"))
		r.Below = d.IntN(2) == 0
	}
	if d.IntN(3) == 0 {
		r.Unless = d.Exception()
	}
	r.Receipt = Pick(d, "", "", rule.ReceiptSender)
	r.ForceTLS = rule.ForceTLS{
		Unspecified: Pick(d, rule.UnspecifiedForce, rule.UnspecifiedOpportunistic),
		Names: Pick(d, policy.Names{MX: true}, policy.Names{Domain: true},
			policy.Names{List: []string{"*.a.test", "b.test"}}, policy.Names{List: []string{"b.test"}}),
		MX:    Pick(d, policy.MXPinned, policy.MXPinned, policy.MXAny, policy.MXProven),
		Trust: Pick(d, "public", "public", "/ca.pem", "./other ca.pem"),
		Pins:  Some(d, "sha256:"+strings.Repeat("ab", 32), "sha256:"+strings.Repeat("cd", 32)),
		Revocation: Pick(d, policy.RevocationCheck, policy.RevocationCheck, policy.RevocationOff,
			policy.RevocationRequire),
		MinTLS:      Pick[uint16](d, 0x301, 0x303, 0x303, 0x304),
		Defer:       Pick(d, time.Second, time.Hour, 24*time.Hour, 90*time.Minute, 1500*time.Millisecond),
		WithoutTLS:  Pick(d, rule.WithoutTLSUnsaid, rule.WithoutTLSUnsaid, rule.WithoutTLSDefer, rule.WithoutTLSReject),
		KeyExchange: Pick(d, policy.AnyExchange, policy.AnyExchange, policy.HybridExchange),
		MinBits:     Pick(d, 0, 0, 128, 256),
		Otherwise: Pick(d, nil, nil, []string{"route:portal", "bounce"},
			[]string{"route:gate-2", "route:portal", "bounce"}),
	}
	return r
}

// Exception is what a rule may have in [rule.unless]: a key or two.
func (d Dice) Exception() (m rule.Match) {
	for range 1 + d.IntN(2) {
		switch d.IntN(8) {
		case 7:
			m.Attachment, m.Body = Some(d, "*.pdf", "text/*"), Some(d, "*secret*")
		case 0:
			m.Sender = d.Patterns()
		case 1, 2:
			m.Recipient = d.Patterns()
		case 3:
			m.Header = Some(d, rulevalue.HeaderMatch{Name: "X-A", Value: "1*"}, rulevalue.HeaderMatch{Name: "Subject", Value: `*\**`}, rulevalue.HeaderMatch{Name: "x-a", Value: "re:2|3"})
		case 4:
			m.Subject = Some(d, "*secret*", "re:^HELLO", "?ello")
		case 5:
			m.SizeOver = 500
		default:
			m.SenderIP = Some(d, netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"))
		}
	}
	m.Case = d.IntN(6) == 0
	return m
}

// Effect makes the rule one of another action.
func (d Dice) Effect(r rule.Rule) rule.Rule {
	r.ForceTLS, r.Receipt = rule.Default().ForceTLS, ""
	r.Action = Pick(d, rule.RejectAction, rule.HoldAction, rule.RedirectAction, rule.BCCAction,
		rule.AddHeaderAction, rule.AllowAction)
	switch r.Action {
	case rule.RejectAction:
		r.Reject.Text = Pick(d, "", "not by mail")
	case rule.HoldAction:
		r.Hold = rule.Hold{Days: 1 + d.IntN(9), Then: Pick(d, policy.ThenReturn, policy.ThenDelete, policy.ThenRelease)}
	case rule.RedirectAction:
		r.Redirect.Route = Pick(d, "portal", "gate-2")
	case rule.BCCAction:
		r.BCC.To = append([]string{"archive@c.test"}, Some(d, "Archive@c.test", "other@d.test")...)
	case rule.AddHeaderAction:
		r.AddHeader.Fields = append([]rulevalue.HeaderMatch{{Name: "X-Class", Value: "a"}},
			Some(d, rulevalue.HeaderMatch{Name: "X-More", Value: "=?utf-8?q?=C3=BC?="})...)
	}
	return r
}

// Facts are what a message of the small world shows.
func (d Dice) Facts() *rulematch.Facts {
	lines := Some(d, "Subject: a secret", "Subject: hello", "X-A: 1", "X-A: 3 *", "From: Ann <ann@a.test>",
		"From: x@y.x.a.test", "Subject: =?none?q?secret?=", "X-A: =?utf-8?q?1?= =?utf-8?q?_2?=")
	f := &rulematch.Facts{From: mail.MustAddress(d.Address()), Now: Now, Size: Pick[int64](d, 100, 1000, 20_000_000),
		Client: netip.MustParseAddr(Pick(d, "10.0.0.1", "192.0.2.1", "2001:db8::1")),
		Header: mail.ParseHeader([]byte(strings.Join(lines, "\r\n") + "\r\n\r\n"))}
	if d.IntN(4) > 0 {
		f.Content = &mimewalk.Content{TextDoubt: Pick(d, "", "", "", "is broken"), Texts: Some(d, "a secret", "hello")}
		if d.IntN(2) == 0 {
			f.Content.Attachments = []mimewalk.Attachment{{Type: Pick(d, "text/plain", "application/zip"),
				Names: Some(d, "a.pdf", "b.txt")}}
		}
	}
	if d.IntN(5) == 0 {
		f.From = mail.Address{}
		f.Origin.Senders = Some(d, "a.test", "*.a.test", "c.test")
	}
	for range 1 + d.IntN(4) {
		f.Recipients = append(f.Recipients, mail.MustAddress(d.Address()))
		f.Local = append(f.Local, d.IntN(6) == 0)
	}
	return f
}

// Change alters one or two keys of a rule.
func (d Dice) Change(r rule.Rule) rule.Rule {
	other := d.Rule(r.Name)
	for range 1 + d.IntN(2) {
		switch d.IntN(19) {
		case 0:
			r.Scope = other.Scope
		case 1:
			r.Mode = other.Mode
		case 2:
			r.Expires = other.Expires
		case 3:
			r.Match.Sender = append(slices.Clone(r.Match.Sender), other.Match.Sender...)
		case 4:
			r.Match.Recipient = append(slices.Clone(r.Match.Recipient), other.Match.Recipient...)
		case 5:
			r.Match.Sender, r.Match.Recipient = other.Match.Sender, other.Match.Recipient
		case 6:
			r.Match.SenderIP, r.Match.Case = other.Match.SenderIP, other.Match.Case
		case 7:
			r.Match.Header, r.Match.Subject = other.Match.Header, other.Match.Subject
			r.Match.Attachment, r.Match.Body = other.Match.Attachment, other.Match.Body
		case 8:
			r.Match.SizeOver, r.Match.RecipientsOver = other.Match.SizeOver, other.Match.RecipientsOver
		case 9:
			r.ForceTLS.Unspecified = other.ForceTLS.Unspecified
		case 10:
			r.ForceTLS.Names = other.ForceTLS.Names
		case 11:
			r.ForceTLS.Trust, r.ForceTLS.Pins = other.ForceTLS.Trust, other.ForceTLS.Pins
		case 12:
			r.ForceTLS.MinTLS = other.ForceTLS.MinTLS
		case 17:
			r.ForceTLS.KeyExchange, r.ForceTLS.MinBits = other.ForceTLS.KeyExchange, other.ForceTLS.MinBits
		case 13:
			r.ForceTLS.Revocation = other.ForceTLS.Revocation
		case 14:
			r.Domain = other.Domain
		case 15:
			r.Below = other.Below
		case 16:
			r.Unless = d.Exception()
		default:
			r.ForceTLS.Defer, r.ForceTLS.WithoutTLS = other.ForceTLS.Defer, other.ForceTLS.WithoutTLS
		}
	}
	return r
}

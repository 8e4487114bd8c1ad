package rule

import (
	"slices"
	"strconv"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy"
	"postern/internal/policy/rulevalue"
)

// inboundConditions are the keys of [rule.match] and [rule.unless] that rules about incoming mail may have: what is
// known before the content. A closed list, so that no other condition is read there as one that always holds.
var inboundConditions = []string{"sender", "recipient", "sender_ip", "listener", "case"}

// checkConditions refuses conditions that mean nothing for the mail a rule is about.
func checkConditions(p *Problems, r *Rule, rule *tomlfile.Node) {
	about := r.about()
	checkSection(p, about, rule, "match")
	checkSection(p, about, rule, "unless")
	if e := rule.Entry("domain"); e.Value != nil && about == Inbound {
		p.Add(e.At, "domain cannot be said of a rule about incoming mail: it is judged before its header comes",
			"match the envelope sender with sender, and the partner's servers with sender_ip")
	}
}

func checkSection(p *Problems, about Scope, rule *tomlfile.Node, section string) {
	conditions := rule.Get(section)
	if conditions == nil || conditions.Kind != unstable.Table {
		return
	}
	for _, e := range conditions.Keys {
		k := findKey(section, e.Key)
		switch {
		case k == nil, k.Fits(about): // what is unknown was told already
		case about == Inbound:
			p.Add(e.At, e.Key+
				" cannot be a condition of a rule about incoming mail, which is judged before its content comes",
				"the conditions of such a rule are sender, sender_ip, listener and recipient")
		default:
			p.Add(e.At, "listener can only be a condition of a rule about incoming mail",
				"match the client's address with sender_ip")
		}
	}
}

// Fits reports whether a key can say something in a rule about such mail.
func (k *Key) Fits(about Scope) bool {
	switch {
	case k.Section() == "":
		return about != Inbound || k.Name != "domain" && k.Name != "below"
	case k.Section() != "match" && k.Section() != "unless":
		return true
	case about == Inbound:
		return slices.Contains(inboundConditions, k.Short())
	}
	return k.Short() != "listener"
}

// Of reports whether a key can stand in a rule of an action: settings of other actions cannot.
func (k *Key) Of(a Action) bool { return k.isOf(&Rule{Action: a}) }

// Only is the mail that a key says something about, "" where it does about any.
func (k *Key) Only() Scope {
	switch {
	case !k.Fits(Inbound), k.Name == "receipt":
		return Outbound
	case !k.Fits(Outbound):
		return Inbound
	}
	return k.Action().Scope()
}

// about is the mail the rule is about, also of one that is disabled.
func (r *Rule) about() Scope {
	for _, d := range deeds {
		if d.action == r.Action && r.Scope == Disabled {
			return d.scope
		}
	}
	return r.Scope
}

// checkClientProof refuses keys that say nothing where no certificate is asked for.
func checkClientProof(p *Problems, r *Rule, rule *tomlfile.Node) {
	section := rule.Get("require_tls")
	if r.Action != RequireTLSAction || section == nil || r.RequireTLS.Level == policy.Authenticated {
		return
	}
	usual, is := defaultRequireTLS(), &r.RequireTLS
	said := map[string]bool{"names": !is.Names.Domain, "trust": is.Trust != usual.Trust, "pins": len(is.Pins) > 0,
		"revocation": is.Revocation != usual.Revocation}
	for _, key := range []string{"names", "trust", "pins", "revocation"} {
		if e := section.Get(key); e != nil && said[key] {
			p.Add(e.At, key+` says nothing with level = "encrypted"`,
				`write level = "authenticated", or take `+key+" out")
		}
	}
}

func readClientNames(p *Problems, r *Rule, e tomlfile.Entry) {
	if e.Value.Kind == unstable.String {
		if s, ok := p.Word(e, "domain"); ok && s == "domain" {
			r.RequireTLS.Names = policy.Names{Domain: true}
		}
		return
	}
	r.RequireTLS.Names = policy.Names{List: rulevalue.ReadNames(&p.Problems, e)}
}

// namesValue is a word or a list.
func namesValue(n policy.Names) any {
	switch {
	case n.MX:
		return "mx"
	case n.Domain:
		return "domain"
	}
	return n.List
}

// exchangeOf is what the key exchange must be; any is unset.
func exchangeOf(at func(*Rule) *policy.KeyExchange) kind {
	words := []string{"any", "hybrid"}
	return kind{
		Words: words,
		get: func(r *Rule) any {
			if *at(r) == policy.AnyExchange {
				return ""
			}
			return words[*at(r)]
		},
		read: func(p *Problems, r *Rule, e tomlfile.Entry) {
			if s, ok := p.Word(e, words...); ok {
				*at(r) = policy.KeyExchange(slices.Index(words, s))
			}
		},
	}
}

// bitsOf is the least strength of a cipher.
func bitsOf(at func(*Rule) *int) kind {
	return kind{shape: Number, get: func(r *Rule) any { return int64(*at(r)) },
		read: func(p *Problems, r *Rule, e tomlfile.Entry) {
			if n, err := strconv.Atoi(e.Value.Text); e.Value.Kind == unstable.Integer && err == nil &&
				(n == 128 || n == 256) {
				*at(r) = n
				return
			}
			p.Add(e.Value.At, e.Key+" is neither 128 nor 256",
				"write 128 or 256, without quotes; leave it out for any cipher")
		}}
}

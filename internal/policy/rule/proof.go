package rule

import (
	"fmt"

	"github.com/pelletier/go-toml/v2/unstable"

	"postern/internal/platform/tomlfile"
	"postern/internal/policy"
	"postern/internal/policy/rulevalue"
)

func readNames(p *Problems, r *Rule, e tomlfile.Entry) {
	if e.Value.Kind == unstable.String {
		switch s := e.Value.Text; s {
		case "mx":
			r.ForceTLS.Names = policy.Names{MX: true}
		case "domain":
			r.ForceTLS.Names = policy.Names{Domain: true}
		default:
			p.Add(e.Value.At, fmt.Sprintf("names cannot be %s", tomlfile.Quote(tomlfile.Clip(s))),
				`write "mx", "domain", or a list of certificate names: ["mail.clinic.test"]`)
		}
		return
	}
	r.ForceTLS.Names = policy.Names{List: rulevalue.ReadNames(&p.Problems, e)}
}

// checkProof refuses keys that say nothing beside the proof that a rule names.
func checkProof(p *Problems, r *Rule, rule *tomlfile.Node) {
	section, said := rule.Get("force_tls"), map[string]bool{}
	f, usual := &r.ForceTLS, Default().ForceTLS
	switch f.Proof {
	case policy.ByTLSA:
		said = map[string]bool{"names": !f.Names.MX, "mx": f.MX != usual.MX, "trust": f.Trust != usual.Trust,
			"pins": len(f.Pins) > 0, "revocation": f.Revocation != usual.Revocation}
	case policy.ByEither:
		said["pins"] = len(f.Pins) > 0
	}
	for _, key := range []string{"names", "mx", "trust", "pins", "revocation"} {
		if !said[key] {
			continue
		}
		what, hint := key+` says nothing with proof = "dane"`, "take "+key+" out, or write proof = \"certificate\""
		if f.Proof == policy.ByEither {
			what = `pins with proof = "either" would be passed by: a TLSA record alone is enough there`
		}
		p.Add(section.Get(key).At, what, hint)
	}
}

// pinsOf is a list of pinned keys.
func pinsOf(at func(*Rule) *[]string) kind {
	return kind{shape: List, get: func(r *Rule) any { return *at(r) }, read: into(at, rulevalue.ReadPins)}
}

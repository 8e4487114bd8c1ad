package rule

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2/unstable"
	"golang.org/x/net/publicsuffix"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy"
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
	r.ForceTLS.Names = policy.Names{List: readNameList(p, e)}
}

// readNameList reads names of certificates, sorted.
func readNameList(p *Problems, e tomlfile.Entry) []string {
	var names []string
	p.Strings(e, func(value string, at tomlfile.Span) {
		name, err := certificateName(value)
		if err != "" {
			p.Add(at, fmt.Sprintf("%s in names: %s", tomlfile.Quote(tomlfile.Clip(value)), err),
				`write host names of certificates, "mail.clinic.test" or "*.clinic.test"; "mx" and "domain" stand alone, without a list`)
		}
		names = append(names, name)
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// certificateName reads a DNS name as certificates carry it (RFC 9525 §6.3): a wildcard is the whole left-most label.
func certificateName(value string) (name, fault string) {
	host, wild := strings.CutPrefix(value, "*.")
	d, err := mail.ParseDomain(host)
	if _, ipErr := netip.ParseAddr(host); err != nil || ipErr == nil || strings.HasPrefix(host, "[") {
		return "", "not a DNS name"
	}
	if !strings.Contains(d.String(), ".") {
		return "", "a name of one label"
	}
	if !wild {
		return d.String(), ""
	}
	if suffix, official := publicsuffix.PublicSuffix(d.String()); official && suffix == d.String() {
		return "", "everybody may register names below " + suffix
	}
	return "*." + d.String(), ""
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

func checkTrust(p *Problems, e tomlfile.Entry, s string) bool {
	file := strings.ContainsAny(s, "/.") && s != "." && s != ".." && !strings.HasSuffix(s, "/")
	if s != policy.PublicTrust && (!file || len(s) > 4096 || strings.ContainsFunc(s, unicode.IsControl)) {
		p.Add(e.Value.At, fmt.Sprintf("trust cannot be %s", tomlfile.Quote(tomlfile.Clip(s))),
			`write "public", or the path of a file of CA certificates: "/etc/postern/partner-ca.pem"`)
		return false
	}
	return true
}

// pinsOf is a list of pinned keys.
func pinsOf(at func(*Rule) *[]string) kind {
	return kind{shape: List, get: func(r *Rule) any { return *at(r) },
		read: func(p *Problems, r *Rule, e tomlfile.Entry) {
			if e.Value.Kind == unstable.Array && len(e.Value.Items) == 0 {
				return // the default, spelled out
			}
			pins := p.Strings(e, func(value string, at tomlfile.Span) {
				digest, ok := strings.CutPrefix(strings.ToLower(value), "sha256:")
				if !ok || len(digest) != 64 || strings.Trim(digest, "0123456789abcdef") != "" {
					p.Add(at, fmt.Sprintf("%s is no pin", tomlfile.Quote(tomlfile.Clip(value))),
						`write "sha256:" and the 64 hexadecimal digits of the digest of the certificate's public key info`)
				}
			})
			for i := range pins {
				pins[i] = strings.ToLower(pins[i])
			}
			slices.Sort(pins)
			*at(r) = slices.Compact(pins)
		}}
}

func readDefer(p *Problems, r *Rule, e tomlfile.Entry) {
	s, ok := p.Text(e)
	if !ok {
		return
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Second {
		p.Add(e.Value.At, fmt.Sprintf("defer cannot be %s", tomlfile.Quote(tomlfile.Clip(s))),
			`write a time of one second or more: "24h", "90m", "30s"`)
		return
	}
	r.ForceTLS.Defer = d
}

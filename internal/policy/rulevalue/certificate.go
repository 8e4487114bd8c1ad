package rulevalue

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2/unstable"
	"golang.org/x/net/publicsuffix"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy"
)

// ReadNames reads names of certificates, sorted.
func ReadNames(p *tomlfile.Problems, e tomlfile.Entry) []string {
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

// CheckTrust asks for the word public or a path.
func CheckTrust(p *tomlfile.Problems, e tomlfile.Entry, s string) bool {
	file := strings.ContainsAny(s, "/.") && s != "." && s != ".." && !strings.HasSuffix(s, "/")
	if s != policy.PublicTrust && (!file || len(s) > 4096 || strings.ContainsFunc(s, unicode.IsControl)) {
		p.Add(e.Value.At, fmt.Sprintf("trust cannot be %s", tomlfile.Quote(tomlfile.Clip(s))),
			`write "public", or the path of a file of CA certificates: "/etc/postern/partner-ca.pem"`)
		return false
	}
	return true
}

// ReadPins reads digests of keys, sorted.
func ReadPins(p *tomlfile.Problems, e tomlfile.Entry) (out []string, ok bool) {
	if e.Value.Kind == unstable.Array && len(e.Value.Items) == 0 {
		return nil, false // the default, spelled out
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
	return slices.Compact(pins), true
}

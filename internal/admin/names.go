package admin

import (
	"crypto/tls"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/policy"
)

// versionNumber is a version as records name it, as in crypto/tls; 0 for one that is not known.
func versionNumber(name string) uint16 {
	switch name {
	case "TLSv1.3":
		return tls.VersionTLS13
	case "TLSv1.2":
		return tls.VersionTLS12
	case "TLSv1.1":
		return tls.VersionTLS11
	case "TLSv1":
		return tls.VersionTLS10
	}
	return 0
}

// presents reports whether one of the names of a certificate is accepted for a recipient domain.
func presents(names []string, accepted policy.Names, to mail.Domain) bool {
	wanted := slices.Clone(accepted.List)
	if accepted.Domain {
		wanted = append(wanted, to.String(), "*."+to.String())
	}
	return slices.ContainsFunc(names, func(name string) bool {
		return slices.ContainsFunc(wanted, func(w string) bool { return covers(w, name) || covers(name, w) })
	})
}

// covers reports whether a pattern, whose "*." stands for one label, is or covers a name.
func covers(pattern, name string) bool {
	if strings.EqualFold(pattern, name) {
		return true
	}
	below, wild := strings.CutPrefix(pattern, "*.")
	_, rest, ok := strings.Cut(name, ".")
	return wild && ok && strings.EqualFold(below, rest)
}

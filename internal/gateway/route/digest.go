package route

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"postern/internal/mail"
)

// Digest names what the table says of own domains and routes: equal for equal tables. What only decides whether a host
// may be dialled and how it is spoken to is not part of it, for that is asked at every plan; the sources of routes are,
// since next hops have them.
func (t *Table) Digest() string {
	sum := sha256.New()
	byName := func(a, b mail.Domain) int { return strings.Compare(a.String(), b.String()) }
	for _, d := range slices.SortedFunc(maps.Keys(t.own), byName) {
		o := t.own[d]
		fmt.Fprintf(sum, "own %s %q %q %q %d\n", d, o.To, o.Trust, o.Pins, o.Require)
	}
	for _, d := range slices.SortedFunc(maps.Keys(t.hosted.exact), byName) {
		fmt.Fprintf(sum, "exact %s %q\n", d, t.hosted.exact[d])
	}
	wild := slices.Clone(t.hosted.wild)
	slices.SortFunc(wild, func(a, b wildcard[[]HostPort]) int { return byName(a.parent, b.parent) })
	for _, w := range wild {
		fmt.Fprintf(sum, "below %s %q\n", w.parent, w.value)
	}
	if t.hosted.any != nil {
		fmt.Fprintf(sum, "any %q\n", *t.hosted.any)
	}
	for _, name := range t.Names() {
		r := t.called[name]
		fmt.Fprintf(sum, "called %s %q %s\n", name, r.To, r.Manner.Source)
	}
	t.digestSources(sum)
	fmt.Fprintf(sum, "port %d\n", t.cfg.Port)
	return hex.EncodeToString(sum.Sum(nil))
}

// digestSources adds the sources of routes that have one.
func (t *Table) digestSources(sum io.Writer) {
	var lines []string
	say := func(what string, m Manner) {
		if m.Source != (Source{}) {
			lines = append(lines, fmt.Sprintf("source %s %s\n", what, m.Source))
		}
	}
	for d, m := range t.manners.exact {
		say(d.String(), m)
	}
	for _, w := range t.manners.wild {
		say("*."+w.parent.String(), w.value)
	}
	if t.manners.any != nil {
		say("*", *t.manners.any)
	}
	slices.Sort(lines)
	fmt.Fprint(sum, strings.Join(lines, ""))
}

// Trusts lists the files of private CAs that own domains name, each once.
func (t *Table) Trusts() (out []string) {
	for _, o := range t.own {
		if o.Trust != "" {
			out = append(out, o.Trust)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

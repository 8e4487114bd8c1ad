package policy

import (
	"crypto/tls"
	"testing"
)

func (d dice) demands() (out []Demand) {
	for _, source := range []string{FromRule("a"), FromRule("b"), FromOwn("x.test"), FromRequireTLS, About(FromRule("a"))} {
		if d.IntN(2) == 0 {
			r := d.requirement()
			r.Peer = nil
			if d.IntN(3) > 0 {
				r.Peer = []PeerDemand{d.demand()}
			}
			out = append(out, Demand{source, r})
		}
	}
	return out
}

// TestRenewingLowersNoFloor: where nobody said that it may get less, no ordered axis falls below what was demanded or
// is.
func TestRenewingLowersNoFloor(t *testing.T) {
	d := roll(t)
	for range rounds {
		old, now := d.demands(), d.demands()
		strict := func(source string) (Requirement, bool) {
			i := find(now, source)
			return append(now, Demand{})[max(i, 0)].Requirement, i >= 0
		}
		out := Renew(old, now, strict)
		got := Join(out)
		for _, r := range []Requirement{Join(old), Join(now)} {
			if got.Channel < r.Channel || got.MinTLS < r.MinTLS || got.KeyExchange < r.KeyExchange || got.MinBits < r.MinBits || got.Revocation < r.Revocation || got.WithoutTLS < r.WithoutTLS ||
				r.RequireTLS && !got.RequireTLS {
				t.Fatalf("%+v\nthen %+v\nbecomes %+v", old, now, out)
			}
		}
		if again := Renew(out, now, strict); !SameDemands(again, out) {
			t.Fatalf("%+v\nthen %+v\nbecomes %+v, and again %+v", old, now, out, again)
		}
		if same := Renew(now, now, strict); !SameDemands(same, now) {
			t.Fatalf("%+v renewed by itself becomes %+v", now, same)
		}
	}
}

// TestWhoThePeerMustBeIsReplacedAndProofsStay is the table of decision 24.
func TestWhoThePeerMustBeIsReplacedAndProofsStay(t *testing.T) {
	peer := func(trust string, names Names, pins ...string) Requirement {
		return Requirement{Channel: Authenticated, MinTLS: tls.VersionTLS12, Peer: []PeerDemand{{Trust: trust, Names: names, Pins: pins}}}
	}
	mx, list, other, domain := Names{MX: true}, Names{List: []string{"a.test"}}, Names{List: []string{"a.test", "b.test"}}, Names{Domain: true}
	pinnedBy := func(r Requirement, m MXTrust, by ...string) Requirement {
		r.MX, r.PinnedBy = m, by
		return r
	}
	for name, tt := range map[string]struct{ old, now, want Requirement }{
		"another pin":               {peer("public", mx, "sha256:1"), peer("public", mx, "sha256:2"), peer("public", mx, "sha256:2")},
		"one pin more":              {peer("public", mx, "sha256:1"), peer("public", mx, "sha256:1", "sha256:2"), peer("public", mx, "sha256:1", "sha256:2")},
		"no pin any more":           {peer("public", mx, "sha256:1"), peer("public", mx), peer("public", mx, "sha256:1")},
		"another CA, no pin":        {peer("a.pem", mx, "sha256:1"), peer("b.pem", mx), peer("b.pem", mx, "sha256:1")},
		"another list":              {peer("public", list), peer("public", other), peer("public", other)},
		"the domain, after a list":  {peer("public", list), peer("public", domain), peer("public", domain)},
		"the host, after a list":    {peer("public", list), peer("public", mx), peer("public", list)},
		"a list, after the host":    {peer("public", mx), peer("public", list), peer("public", list)},
		"public, after a CA":        {peer("a.pem", mx), peer("public", mx), peer("public", mx)},
		"no level any more":         {peer("a.pem", mx), Requirement{Aim: Authenticated}, peer("b.pem", mx)},
		"mx any, after proven":      {pinnedBy(peer("public", mx), MXProven), pinnedBy(peer("public", mx), MXAny), pinnedBy(peer("public", mx), MXProven)},
		"a list, after proven":      {pinnedBy(peer("public", mx), MXProven), peer("public", list), peer("public", list)},
		"mx any, after pinned":      {pinnedBy(peer("public", mx), MXPinned, "r"), peer("public", mx), pinnedBy(peer("public", mx), MXPinned, "r")},
		"pinned, after mx any":      {peer("public", mx), pinnedBy(peer("public", mx), MXPinned, "r"), pinnedBy(peer("public", mx), MXPinned, "r")},
		"pinned by another's names": {pinnedBy(peer("public", mx), MXPinned, "q"), pinnedBy(peer("public", mx), MXPinned, "r"), pinnedBy(peer("public", mx), MXPinned, "r")},
	} {
		source := FromRule("r")
		out := Renew([]Demand{{source, tt.old}}, []Demand{{source, tt.now}}, func(string) (Requirement, bool) { return peer("b.pem", mx), true })
		if len(out) != 1 || out[0].Requirement.Key() != Combine(tt.want).Key() {
			t.Errorf("%s: %+v, want %+v", name, out, tt.want)
		}
	}
}

// TestASourceThatIsGone stays, unless the same is demanded under another name or anyway.
func TestASourceThatIsGone(t *testing.T) {
	pinned := func(by string) Requirement {
		return Combine(Requirement{Channel: Authenticated, MX: MXPinned, PinnedBy: []string{by}})
	}
	strong := Combine(Requirement{Channel: Authenticated, MinTLS: tls.VersionTLS13})
	gone := func(string) (Requirement, bool) { return Requirement{}, false }
	for name, tt := range map[string]struct {
		old, now []Demand
		want     []string
	}{
		"removed":                       {[]Demand{{FromRule("a"), strong}}, nil, []string{FromRule("a")}},
		"renamed":                       {[]Demand{{FromRule("a"), pinned("a")}}, []Demand{{FromRule("b"), pinned("b")}}, []string{FromRule("b")}},
		"renamed and stronger":          {[]Demand{{FromRule("a"), pinned("a")}}, []Demand{{FromRule("b"), Combine(pinned("b"), strong)}}, []string{FromRule("b")}},
		"renamed and weaker":            {[]Demand{{FromRule("a"), strong}}, []Demand{{FromRule("b"), pinned("b")}}, []string{FromRule("a"), FromRule("b")}},
		"beside another's names":        {[]Demand{{FromRule("a"), pinned("a")}, {FromRule("b"), pinned("b")}}, []Demand{{FromRule("b"), pinned("b")}}, []string{FromRule("a"), FromRule("b")}},
		"demanded anyway":               {[]Demand{{FromRule("a"), strong}, {FromRule("b"), strong}}, []Demand{{FromRule("b"), strong}}, []string{FromRule("b")}},
		"the way to us is no rule":      {[]Demand{{FromOwn("x.test"), pinned("x")}}, []Demand{{FromRule("b"), pinned("b")}}, []string{FromOwn("x.test"), FromRule("b")}},
		"inherited is not one's own":    {[]Demand{{About(FromRule("a")), pinned("a")}}, []Demand{{FromRule("b"), pinned("b")}}, []string{About(FromRule("a")), FromRule("b")}},
		"what demands nothing is known": {[]Demand{{FromRule("a"), Requirement{}}}, nil, nil},
	} {
		var got []string
		for _, d := range Renew(tt.old, tt.now, gone) {
			got = append(got, d.Source)
		}
		if len(got) != len(tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
			continue
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("%s: %q, want %q", name, got, tt.want)
			}
		}
	}
}

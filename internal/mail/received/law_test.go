package received

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/mail"
)

// seeded returns a source of chance that prints its seed when the test fails.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 1))
}

// nasty makes text that tries to break out of its place in a line.
func nasty(r *rand.Rand) string {
	pieces := []string{"mail.example.com", "(", ")", "by", " by evil.example ", " with ESMTPS id 1 ", "using TLSv1.3 with cipher X (256/256 bits)",
		";", "; Tue, 1 Dec 2026 10:00:00 +0000", "<", ">", `"`, `\`, "\r\n", "\x00", "[127.0.0.1]", "[local]", "é", "\xff", " ", "helo=x", "\u202e",
		"tls TLS_AES_128_GCM_SHA256", "(version=TLSv1.3 cipher=X)", "from", "[", "]", "@", ":", "[unix socket]", "a"}
	var b strings.Builder
	for range r.IntN(6) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// stamp makes a Received line of ours: facts of our own at random, the peer's words nasty.
func stamp(r *rand.Rand) mail.Received {
	s := mail.Received{
		Helo: nasty(r), ReverseName: pick(r, mail.Domain{}, mail.MustDomain("mail.world.test"), mail.MustDomain("unknown")), NoReverse: r.IntN(2) == 0,
		Client:   pick(r, netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("::ffff:198.51.100.9")),
		Hostname: pick(r, mail.MustDomain("gw.example.com"), mail.MustDomain("mx-1.clinic.test")),
		ID:       pick(r, "06bq4x2k9y8m3f7a", "1"),
		For: pick(r, mail.Address{}, mail.MustAddress("dr@clinic.test"), mail.MustAddress(`"a b;c"@clinic.test`),
			mail.MustAddress(`"x> by evil (tls"@clinic.test`)),
		Date: time.Unix(1_700_000_000+r.Int64N(1e9), 0).In(time.FixedZone("", 3600*(r.IntN(26)-12))),
	}
	s.Protocol = pick(r, "", "SMTP", "ESMTP", "ESMTPA", "UTF8SMTP")
	if r.IntN(2) == 0 {
		s.Protocol = pick(r, "SMTP", "ESMTPS", "ESMTPSA", "UTF8SMTPS", "UTF8SMTPSA")
		s.TLS = &mail.TLS{Version: pick(r, "TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1"),
			Cipher: pick(r, "TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "AES128-SHA"), Bits: pick(r, 128, 256),
			Group: pick(r, "", "X25519", "X25519MLKEM768", "P-256"), Signature: pick(r, "", "ECDSA", "RSA", "Ed25519"),
			Client: pick(r, nil, &mail.ClientCertificate{},
				&mail.ClientCertificate{Presented: true, Verified: true, Subject: "CN=mail.example.com", Issuer: "CN=CA"},
				&mail.ClientCertificate{Presented: true, Subject: "CN=" + nasty(r), Issuer: "CN=" + nasty(r)})}
	}
	return s
}

func TestOurOwnStampIsReadBackWhateverThePeerSays(t *testing.T) {
	r := seeded(t)
	for range 5000 {
		s := stamp(r)
		text := s.AppendTo(nil)
		found := Extract(text)
		if len(found.Received) != 1 {
			t.Fatalf("%d lines in\n%s", len(found.Received), text)
		}
		l := Parse(found.Received[0].Value)
		want := fmt.Sprintf("%v %v %v %v %v %v", Postern, s.Client.Unmap(), s.Hostname, orSMTP(s.Protocol), s.ID, s.Date.Unix())
		if got := fmt.Sprintf("%v %v %v %v %v %v", l.Form, l.IP, l.By, l.With, l.ID, l.Date.Unix()); got != want {
			t.Fatalf("got  %s\nwant %s\nfrom\n%s", got, want, text)
		}
		if want := strings.TrimSuffix(s.ReverseName.String(), "unknown"); l.Name != want {
			t.Fatalf("the name %q, want %q, from\n%s", l.Name, want, text)
		}
		if l.For != s.For.String() {
			t.Fatalf("for %q, want %q, from\n%s", l.For, s.For, text)
		}
		if got, want := sessionOf(l), stampedSession(s.TLS); got != want {
			t.Fatalf("got  %s\nwant %s\nfrom\n%s", got, want, text)
		}
		if l.Inside || l.Doubtful {
			t.Fatalf("the peer's words made it %+v from\n%s", l, text)
		}
	}
}

func orSMTP(s string) string {
	if s == "" {
		return "SMTP"
	}
	return s
}

func sessionOf(l Line) string {
	return fmt.Sprintf("%v %q %q %d %d %q %q %q", l.TLS, l.Version, l.Cipher, l.Bits, l.BitsTotal, l.Group, l.Signature, l.Client)
}

// stampedSession is what sessionOf must say of a line with these facts.
func stampedSession(s *mail.TLS) string {
	if s == nil {
		return sessionOf(Line{TLS: Plain})
	}
	l := Line{TLS: Encrypted, Version: s.Version, Cipher: s.Cipher, Bits: s.Bits, BitsTotal: s.Bits, Group: s.Group, Signature: s.Signature}
	switch c := s.Client; {
	case c == nil:
		l.Client = ClientCertNotRequested
	case !c.Presented:
		l.Client = ClientCertNone
	case c.Verified:
		l.Client = ClientCertVerified
	default:
		l.Client = ClientCertUnverified
	}
	return sessionOf(l)
}

// manyLines picks lines of all forms, some of them broken.
func manyLines(r *rand.Rand, n int) []Field {
	cases := formCases()
	out := make([]Field, n)
	for i := range out {
		line := cases[r.IntN(len(cases))].line
		if r.IntN(4) == 0 {
			line = line[:r.IntN(len(line))] + nasty(r) + line[r.IntN(len(line)):]
		}
		out[i] = Field{Value: line, Line: i + 1}
	}
	return out
}

func TestWhatStandsBelowNeverChangesWhatIsSaidAbove(t *testing.T) {
	r := seeded(t)
	for range 2000 {
		trust, err := ParseTrust(pick(r, nil, []string{"clinic.test"}, []string{"192.0.2.0/24", "example.com"}, []string{"google.com", "outlook.com", "10.0.0.0/8"}))
		if err != nil {
			t.Fatal(err)
		}
		above := manyLines(r, 1+r.IntN(4))
		forged := manyLines(r, 1+r.IntN(4))
		alone, all := Trace(above, trust), Trace(slices.Concat(above, forged), trust)
		for i := range alone.Hops {
			a, b := &alone.Hops[i], &all.Hops[i+len(forged)]
			if a.State != b.State || a.Trusted != b.Trusted || facts(a.Line) != facts(b.Line) {
				t.Fatalf("hop %d: %v %v became %v %v\n%s", b.Number, a.State, a.Trusted, b.State, b.Trusted, a.Field.Value)
			}
		}
	}
}

func TestTrustIsAnUnbrokenStretchAndOnlyItProves(t *testing.T) {
	r := seeded(t)
	for range 2000 {
		trust, err := ParseTrust(pick(r, nil, []string{"*"}, []string{"clinic.test", "127.0.0.0/8"}, []string{"0.0.0.0/0", "::/0"}))
		if err != nil {
			t.Fatal(err)
		}
		report := Trace(manyLines(r, 1+r.IntN(6)), trust)
		sum := report.Sum()
		if sum.Network()+sum.Inside != len(report.Hops) {
			t.Fatalf("%+v does not count %d hops", sum, len(report.Hops))
		}
		for i := range report.Hops {
			h := &report.Hops[i]
			if h.Number != i+1 || h.Trusted != (h.Number >= report.Proven) {
				t.Fatalf("hop %d at %d is trusted: %v, proven from %d", h.Number, i, h.Trusted, report.Proven)
			}
			if h.State == Yes && !h.Trusted || h.State == Claimed && h.Trusted && !h.Doubtful {
				t.Fatalf("hop %d: %v, trusted %v", h.Number, h.State, h.Trusted)
			}
		}
	}
}

package peers

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
)

// What Postfix makes of each situation. Where it and RFC 7672 say different things, the situation does too.
func TestSignedDNSSituationsAreAsPostfixSeesThem(t *testing.T) {
	NeedRoot(t)
	t.Parallel()
	port, count := FreePort(t, "127.0.0.1"), 0
	ca := pki.New(time.Now(), "Peers CA")
	all := DANESituations(ca, time.Now(), port, func() string {
		count++
		return fmt.Sprintf("127.54.%d.%d", os.Getpid()&0xff, count)
	})
	s := NewSignedDNS(t, DANEZones(all)...)
	for _, d := range all {
		d.Serve(t, port)
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			destination := fmt.Sprintf("%s:%d", d.Domain, port)
			verdict, said := PosttlsFingerDANE(t, s, "dane", destination, nil)
			if verdict != d.Postfix {
				t.Errorf("Postfix says %q, not %q:\n%s", verdict, d.Postfix, said)
			}
			withRoots, more := PosttlsFingerDANE(t, s, "dane-only", destination, ca.RootPEM())
			if means := daneMeans(verdict, said, withRoots, more); means != d.Means {
				t.Errorf("to Postfix this is %s, not %s:\n%s%s", means, d.Means, said, more)
			}
		})
	}
}

// A host that the administrator named counts as securely named: what is half in a mail domain is whole in a plan.
func TestSignedDNSHostsAreProvenWithoutTheirDomain(t *testing.T) {
	NeedRoot(t)
	t.Parallel()
	port, count := FreePort(t, "127.0.0.1"), 0
	all := DANESituations(pki.New(time.Now(), "Peers CA"), time.Now(), port, func() string {
		count++
		return fmt.Sprintf("127.55.%d.%d", os.Getpid()&0xff, count)
	})
	half := all[slices.IndexFunc(all, func(d DANESituation) bool { return d.Name == "half-signed" })]
	half.Serve(t, port)
	s := NewSignedDNS(t, half.Zones...)
	if verdict, said := PosttlsFingerDANE(t, s, "dane", fmt.Sprintf("[%s]:%d", half.Host, port), nil); verdict != "Verified" {
		t.Errorf("%s:\n%s", verdict, said)
	}
}

// daneMeans is what a situation is to Postfix, by what its tool says at the level dane without roots and at dane-only
// with them. It uses them where there is no DANE and nowhere else; dane-only tells why there is none.
func daneMeans(verdict, said, withRoots, more string) DANEMeans {
	switch {
	case strings.Contains(said, "all TLSA records unusable, fallback to unauthenticated TLS"):
		return DANEEncrypted
	case verdict != withRoots && strings.Contains(more, "no usable TLSA records found"):
		return DANEEncrypted
	case verdict != withRoots:
		return DANENone
	case verdict == "Verified" || verdict == "Trusted":
		return DANEProven
	}
	return DANEWaits
}

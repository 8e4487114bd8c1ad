package policy_test

import (
	"crypto/tls"
	"fmt"

	"postern/internal/mail"
	"postern/internal/policy"
)

// A rule's wish and a domain's own join into one requirement, and a connection must meet both.
func Example() {
	rule := policy.Requirement{Channel: policy.Authenticated}
	domain := policy.Requirement{
		Channel: policy.Encrypted,
		Peer:    []policy.PeerDemand{{Trust: "internal-ca.pem", Names: policy.Names{Domain: true}}},
	}
	both := policy.Combine(rule, domain)

	proven := policy.Evidence{
		TLS: &mail.TLS{}, TLSVersion: tls.VersionTLS13,
		Peers: map[string]policy.Proof{
			both.Peer[0].Key(): {},
			policy.PublicDemand().Key(): {Shortfalls: []policy.Shortfall{
				{Reason: policy.CertUntrusted, Text: "the chain ends at the root CN=Ours, which is not among the trusted roots"},
			}},
		},
	}
	for _, s := range policy.Verdict(both, proven) {
		fmt.Println(s.Reason, "-", s.Text)
		fmt.Println(s.Reason.Info().Hint)
	}
	fmt.Println(proven.Reached(rule))
	// Output:
	// cert-untrusted - the chain ends at the root CN=Ours, which is not among the trusted roots
	// The host needs a certificate of a public CA; or, if this CA is the right one, name its root in the rule's `trust`: waiting mail follows the rule.
	// encrypted
}

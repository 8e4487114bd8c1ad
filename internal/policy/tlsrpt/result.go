package tlsrpt

import (
	"slices"

	"postern/internal/policy"
)

// The result types (RFC 8460 §4.3).
const (
	StartTLSNotSupported    = "starttls-not-supported"
	CertificateHostMismatch = "certificate-host-mismatch"
	CertificateExpired      = "certificate-expired"
	CertificateNotTrusted   = "certificate-not-trusted"
	ValidationFailure       = "validation-failure"
	TLSAInvalid             = "tlsa-invalid"
	DNSSECInvalid           = "dnssec-invalid"
	DANERequired            = "dane-required"
	STSPolicyFetchError     = "sts-policy-fetch-error"
	STSPolicyInvalid        = "sts-policy-invalid"
	STSWebPKIInvalid        = "sts-webpki-invalid"
)

// Results lists the result types that are registered; foreign reports may have others.
func Results() []string {
	return []string{StartTLSNotSupported, CertificateHostMismatch, CertificateExpired, CertificateNotTrusted,
		ValidationFailure, TLSAInvalid, DNSSECInvalid, DANERequired, STSPolicyFetchError, STSPolicyInvalid,
		STSWebPKIInvalid}
}

// Result is what a failure of ours is called in a report about sessions under a policy of this type; "" where no TLS
// policy failed and nothing is to be reported. It is what policy.Reason.Info says, but for the cases of exceptions.
// Why an MTA-STS policy could not be fetched is known better by stscache.Kind.TLSRPT.
func Result(r policy.Reason, policyType string) string {
	for _, e := range exceptions() {
		if e.reason == r && slices.Contains(e.under, policyType) {
			return e.result
		}
	}
	return r.Info().TLSRPT
}

// exception is a reason that means something else under a policy of these types.
type exception struct {
	reason policy.Reason
	under  []string
	result string
}

func exceptions() []exception {
	return []exception{
		// Where TLSA records are the policy, they are what could not be looked up (RFC 8460 §4.3.2.1).
		{policy.DNSServfail, []string{TypeTLSA}, DNSSECInvalid},
		{policy.DNSTimeout, []string{TypeTLSA}, DNSSECInvalid},
		// Where they are not, it is a rule of ours that asks for them, and there are none.
		{policy.DANEUnusable, []string{TypeSTS, TypeNone}, DANERequired},
	}
}

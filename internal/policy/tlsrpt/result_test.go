package tlsrpt_test

import (
	"slices"
	"strings"
	"testing"

	"postern/internal/policy"
	"postern/internal/policy/tlsrpt"
)

// The table of RFC 8460 §4.3, for each reason under TLSA records, an MTA-STS policy and none; "-" is no matter of TLS.
const results = `
dns-nxdomain            -                         -                         -
dns-servfail            dnssec-invalid            -                         -
dns-timeout             dnssec-invalid            -                         -
dns-null-mx             -                         -                         -
dns-no-address          -                         -                         -
dnssec-bogus            dnssec-invalid            dnssec-invalid            dnssec-invalid
mx-unproven             -                         -                         -
mx-changed              -                         -                         -
mx-loop                 -                         -                         -
mx-private-address      -                         -                         -
connect-refused         -                         -                         -
connect-timeout         -                         -                         -
connect-unreachable     -                         -                         -
greeting-timeout        -                         -                         -
greeting-refused        -                         -                         -
ehlo-refused            -                         -                         -
starttls-not-offered    starttls-not-supported    starttls-not-supported    starttls-not-supported
starttls-stripped       starttls-not-supported    starttls-not-supported    starttls-not-supported
starttls-refused        starttls-not-supported    starttls-not-supported    starttls-not-supported
tls-handshake           validation-failure        validation-failure        validation-failure
tls-alert               validation-failure        validation-failure        validation-failure
tls-version             validation-failure        validation-failure        validation-failure
tls-no-shared-cipher    validation-failure        validation-failure        validation-failure
tls-timeout             validation-failure        validation-failure        validation-failure
tls-closed              validation-failure        validation-failure        validation-failure
cert-expired            certificate-expired       certificate-expired       certificate-expired
cert-not-yet-valid      certificate-not-trusted   certificate-not-trusted   certificate-not-trusted
cert-self-signed        certificate-not-trusted   certificate-not-trusted   certificate-not-trusted
cert-untrusted          certificate-not-trusted   certificate-not-trusted   certificate-not-trusted
cert-incomplete-chain   certificate-not-trusted   certificate-not-trusted   certificate-not-trusted
cert-name-mismatch      certificate-host-mismatch certificate-host-mismatch certificate-host-mismatch
cert-revoked            certificate-not-trusted   certificate-not-trusted   certificate-not-trusted
revocation-unknown      validation-failure        validation-failure        validation-failure
cert-weak               certificate-not-trusted   certificate-not-trusted   certificate-not-trusted
cert-name-constraint    certificate-not-trusted   certificate-not-trusted   certificate-not-trusted
cert-usage              certificate-not-trusted   certificate-not-trusted   certificate-not-trusted
pin-mismatch            certificate-not-trusted   certificate-not-trusted   certificate-not-trusted
dane-mismatch           validation-failure        validation-failure        validation-failure
dane-unusable           tlsa-invalid              dane-required             dane-required
sts-mx-mismatch         validation-failure        validation-failure        validation-failure
sts-policy-unavailable  sts-policy-fetch-error    sts-policy-fetch-error    sts-policy-fetch-error
requiretls-not-offered  -                         -                         -
remote-4xx              -                         -                         -
remote-5xx              -                         -                         -
remote-closed           -                         -                         -
remote-timeout          -                         -                         -
policy-unavailable      -                         -                         -
expired-in-queue        -                         -                         -
`

func TestEveryReasonHasAResultOrNone(t *testing.T) {
	rows := map[policy.Reason][]string{}
	for row := range strings.Lines(strings.TrimSpace(results)) {
		fields := strings.Fields(row)
		rows[policy.Reason(fields[0])] = fields[1:]
	}
	for _, i := range policy.Reasons() {
		row := rows[i.Reason]
		if len(row) != 3 {
			t.Errorf("%s has no row", i.Reason)
			continue
		}
		for n, under := range []string{tlsrpt.TypeTLSA, tlsrpt.TypeSTS, tlsrpt.TypeNone} {
			got := tlsrpt.Result(i.Reason, under)
			if want := strings.TrimPrefix(row[n], "-"); got != want || got != "" && !slices.Contains(tlsrpt.Results(), got) {
				t.Errorf("%s under %s: %q, want %q", i.Reason, under, got, want)
			}
		}
	}
	if len(rows) != len(policy.Reasons()) {
		t.Errorf("%d rows for %d reasons", len(rows), len(policy.Reasons()))
	}
	if got := tlsrpt.Result("", tlsrpt.TypeSTS); got != "" {
		t.Errorf("no reason is %q", got)
	}
}

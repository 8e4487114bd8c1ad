package certcheck_test

import (
	"crypto/x509"
	"testing"

	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/certcheck"
)

// TestClientsShowWhicheverCertificateTheyHave: a certificate for servers, which is all that public CAs still give, does
// for a client, and so does one for clients; one for neither does not. The name is that of the sender.
func TestClientsShowWhicheverCertificateTheyHave(t *testing.T) {
	ca := pki.New(now, "Test CA")
	of := func(usages ...x509.ExtKeyUsage) []*x509.Certificate {
		return ca.Issue(pki.Options{Names: []string{"mail.partner.test"}, EKU: usages, Intermediates: []pki.Intermediate{{}}}).Chain
	}
	sender := []policy.PeerDemand{{Trust: policy.PublicTrust, Names: policy.Names{Domain: true}}}
	for _, c := range []struct {
		name   string
		chain  []*x509.Certificate
		domain string
		want   string
	}{
		{"for servers", of(x509.ExtKeyUsageServerAuth), "partner.test", ""},
		{"for clients", of(x509.ExtKeyUsageClientAuth), "partner.test", ""},
		{"for both", of(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth), "partner.test", ""},
		{"for anything", of(x509.ExtKeyUsageAny), "partner.test", ""},
		{"for code", of(x509.ExtKeyUsageCodeSigning), "partner.test", "cert-usage"},
		{"for mail", of(x509.ExtKeyUsageEmailProtection), "partner.test", "cert-usage"},
		{"none shown", nil, "partner.test", "cert-untrusted"},
		{"of another sender", of(x509.ExtKeyUsageServerAuth), "other.test", "cert-name-mismatch"},
		{"of a domain below", of(x509.ExtKeyUsageServerAuth), "deep.partner.test", "cert-name-mismatch"},
		{"for the null sender", of(x509.ExtKeyUsageServerAuth), "", "cert-name-mismatch"},
		{"signed by itself", ca.Issue(pki.Options{Names: []string{"partner.test"}, SelfSigned: true}).Chain, "partner.test", "cert-self-signed"},
	} {
		in := certcheck.Input{Chain: c.chain, Client: true, Demands: sender, Roots: public(ca)}
		if c.domain != "" {
			in.Domain = mail.MustDomain(c.domain)
		}
		if got := reasons(t, in); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := reasons(t, certcheck.Input{Chain: of(x509.ExtKeyUsageClientAuth), Host: mail.MustDomain("mail.partner.test"), Roots: public(ca)}); got != "cert-usage" {
		t.Errorf("of a server that has one for clients: %q", got)
	}
}

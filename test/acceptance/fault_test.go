package acceptance

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
)

// fault is one way in which a partner falls short of authenticated TLS. Its domain is NAME.test.
type fault struct {
	name     string
	behave   func(w *world, host string) partner.Behaviour
	reason   string // of a forced delivery
	reached  string // by mail without a rule
	ordinary string // reason of mail without a rule; "" is the same
	// presented is a name in the certificate shown, "" when none is shown.
	presented string
}

// withTLS changes the TLS side of a server with a good certificate.
func withTLS(change func(*tls.Config)) func(w *world, host string) partner.Behaviour {
	return func(w *world, host string) partner.Behaviour {
		b := w.Good(host)
		change(b.TLS)
		return b
	}
}

// broken is a server with a good certificate and a fault before it can be shown.
func broken(f partner.Fault) func(w *world, host string) partner.Behaviour {
	return func(w *world, host string) partner.Behaviour {
		b := w.Good(host)
		b.Fault = f
		return b
	}
}

// issued is a server whose certificate is made with options; its name is the host's unless they name others.
func issued(change func(w *world, o *pki.Options)) func(w *world, host string) partner.Behaviour {
	return func(w *world, host string) partner.Behaviour {
		o := pki.Options{Names: []string{host}}
		change(w, &o)
		return w.Offers(o)
	}
}

// faults is every fault that a partner of these tests has.
func faults() []fault {
	return []fault{
		{name: "expired", reason: "cert-expired", reached: "encrypted", presented: "mx.expired.test",
			behave: issued(func(w *world, o *pki.Options) { o.NotAfter = w.Now.Add(-26 * time.Hour) })},
		{name: "future", reason: "cert-not-yet-valid", reached: "encrypted", presented: "mx.future.test",
			behave: issued(func(w *world, o *pki.Options) { o.NotBefore = w.Now.Add(26 * time.Hour) })},
		{name: "selfsigned", reason: "cert-self-signed", reached: "encrypted", presented: "mx.selfsigned.test",
			behave: issued(func(_ *world, o *pki.Options) { o.SelfSigned = true })},
		{name: "unknown", reason: "cert-untrusted", reached: "encrypted", presented: "mx.unknown.test",
			behave: func(w *world, host string) partner.Behaviour {
				c := pki.New(w.Now, "Somebody's Root").Issue(pki.Options{Names: []string{host}, SendRoot: true})
				return partner.Behaviour{TLS: &tls.Config{Certificates: []tls.Certificate{c.TLS}}}
			}},
		{name: "incomplete", reason: "cert-incomplete-chain", reached: "encrypted", presented: "mx.incomplete.test",
			behave: issued(func(_ *world, o *pki.Options) { o.OmitIntermediates = true })},
		{name: "othername", reason: "cert-name-mismatch", reached: "encrypted", presented: "www.hosting.test",
			behave: issued(func(_ *world, o *pki.Options) { o.Names = []string{"www.hosting.test"} })},
		{name: "commonname", reason: "cert-name-mismatch", reached: "encrypted",
			behave: issued(func(_ *world, o *pki.Options) { o.NoSAN = true })},
		{name: "oldca", reason: "cert-expired", reached: "encrypted", presented: "mx.oldca.test",
			behave: issued(func(w *world, o *pki.Options) {
				o.Intermediates = []pki.Intermediate{{Name: "Old intermediate", NotAfter: w.Now.Add(-time.Hour)}}
			})},
		{name: "weak", reason: "cert-weak", reached: "encrypted", presented: "mx.weak.test",
			behave: issued(func(_ *world, o *pki.Options) { o.Key = pki.RSA1024 })},
		{name: "usage", reason: "cert-usage", reached: "encrypted", presented: "mx.usage.test",
			behave: issued(func(_ *world, o *pki.Options) { o.EKU = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} })},

		{name: "notls", reason: "starttls-not-offered", reached: "plaintext",
			behave: func(*world, string) partner.Behaviour { return partner.Behaviour{} }},
		{name: "masked", reason: "starttls-stripped", reached: "plaintext", behave: broken(partner.Masked)},
		{name: "refuses", reason: "starttls-refused", reached: "plaintext", behave: broken(partner.RefusesTLS)},
		{name: "garbage", reason: "tls-handshake", reached: "plaintext", behave: broken(partner.BreaksTLS)},
		{name: "cut", reason: "tls-closed", reached: "plaintext", behave: broken(partner.ResetsTLS)},
		{name: "old", reason: "tls-version", reached: "encrypted",
			behave: withTLS(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })},
		{name: "asksclient", reason: "tls-alert", reached: "plaintext",
			behave: withTLS(func(c *tls.Config) { c.ClientAuth = tls.RequireAndVerifyClientCert })},
		{name: "rc4", reason: "tls-no-shared-cipher", reached: "plaintext",
			behave: withTLS(func(c *tls.Config) {
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}
			})},
	}
}

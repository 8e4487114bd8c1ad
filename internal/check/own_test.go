package check_test

import (
	"crypto/x509"
	"testing"
	"time"

	"postern/internal/check"
	"postern/internal/lab/pki"
	"postern/internal/mail"
)

func TestACertificateForClientsIsNotJudgedAsAServers(t *testing.T) {
	now := time.Now()
	ca := pki.New(now, "CA")
	c := ca.Issue(pki.Options{Names: []string{"gw.test"}, EKU: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if own := check.LookAtOwn(check.OwnClient, c.Chain, mail.Domain{}, ca.Pool(), now, 0); len(own.Warnings) > 0 || own.Root == nil {
		t.Errorf("%+v", own)
	}
	if own := check.LookAtOwn(check.OwnServer, c.Chain, mail.Domain{}, ca.Pool(), now, 0); len(own.Warnings) != 1 {
		t.Errorf("%+v", own)
	}
}

package admin

import (
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"postern/internal/history/certstore"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/operator/access"
	"postern/internal/policy"
)

func TestEvidenceHoldsChainsRulesAndMeanings(t *testing.T) {
	s, store, _ := service(t)
	s = changed(s, func(c *Config) { c.Certs = certstore.NewBook(store) })
	wide := s.For(everywhere(access.Auditor))
	before, err := wide.Evidence(t.Context(), string(backlog.Waiting))
	if err != nil || len(before.Certificates) != 0 || before.Rules != nil || !before.Complete || before.MadeFor != "ann" {
		t.Fatalf("%+v, %v", before, err)
	}
	var digest string
	for _, d := range before.Deliveries {
		for _, a := range d.Attempts {
			for i := range a.Tries {
				if e := a.Tries[i].Evidence; e != nil && len(e.Chain) > 0 {
					digest = e.Chain[0].SHA256
				}
			}
		}
	}
	if err := certstore.NewBook(store).PutCertificates(t.Context(), []certstore.Certificate{{SHA256: digest, DER: []byte("der"), Seen: time.Now()}, {SHA256: "other", DER: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	e, err := wide.Evidence(t.Context(), string(backlog.Waiting))
	if err != nil || len(e.Certificates) != 1 || e.Certificates[0].SHA256 != digest {
		t.Fatalf("%+v, %v", e.Certificates, err)
	}
	if block, _ := pem.Decode([]byte(e.Certificates[0].PEM)); block == nil || string(block.Bytes) != "der" {
		t.Errorf("the certificate is %q", e.Certificates[0].PEM)
	}
	found := false
	for _, m := range e.Meaning {
		found = found || m.Reason == string(policy.CertExpired) && m.Who == "them" && strings.TrimSpace(m.Text) != ""
	}
	if !found {
		t.Errorf("the codes mean %+v", e.Meaning)
	}
	_, err = s.For(within(access.Auditor, "else.test")).Evidence(t.Context(), string(backlog.Waiting))
	refused(t, "beyond the scope", err, access.ErrNotFound)
	narrow, err := s.For(within(access.Auditor, "plain.test")).Evidence(t.Context(), string(backlog.Waiting))
	if err != nil || narrow.Complete || len(narrow.Deliveries) != 1 || len(narrow.Certificates) != 0 {
		t.Errorf("a part of it: %+v, %v", narrow, err)
	}
}

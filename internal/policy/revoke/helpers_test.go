package revoke_test

import (
	"crypto/x509/pkix"
	"encoding/pem"

	"postern/internal/lab/pki"
)

func points(ps ...pki.Point) pki.Options {
	return pki.Options{Extensions: extensions(pki.PointsExtension(ps...))}
}

func extensions(list ...pkix.Extension) []pkix.Extension { return list }

func pemCRL(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}) }

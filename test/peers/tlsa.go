package peers

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
)

// TLSA is the record, a line of a zone file, that a host's certificate is vouched for by at a port (RFC 6698 §2.1). It
// shares nothing with the product, and panics for a selector or a matching type there is not.
func TLSA(host string, port int, usage, selector, matching uint8, cert *x509.Certificate) string {
	data := [][]byte{cert.Raw, cert.RawSubjectPublicKeyInfo}[selector]
	short, long := sha256.Sum256(data), sha512.Sum512(data)
	return fmt.Sprintf("_%d._tcp.%s. TLSA %d %d %d %x\n", port, host, usage, selector, matching,
		[][]byte{data, short[:], long[:]}[matching])
}

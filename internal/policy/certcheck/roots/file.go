package roots

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"postern/internal/filemark"
)

// maxFile bounds a file of roots. The whole Mozilla set takes a quarter of a megabyte.
const maxFile = 16 << 20

// errNoCertificate means a file without a single usable certificate.
var errNoCertificate = errors.New("it holds no certificate in PEM form")

// readFile reads a PEM file of certificates, or returns have if that was read from the same content.
func readFile(name string, have *set) (*set, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, plain(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, plain(err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("it is no ordinary file of at most %d bytes", maxFile)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, plain(err)
	}
	mark := filemark.Of(text)
	if have != nil && have.file == name && have.mark == mark {
		return have, nil
	}
	pool, count, err := parse(text)
	if err != nil {
		return nil, err
	}
	return &set{pool, count, name, mark}, nil
}

// plain strips the path, which the caller says itself.
func plain(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// parse reads the certificates of a PEM file. Certificates that crypto/x509 cannot read are left out, as that can only
// trust less; a block that is cut off means that somebody is still writing.
func parse(text []byte) (*x509.CertPool, int, error) {
	pool, count := x509.NewCertPool(), 0
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			pool.AddCert(cert)
			count++
		}
	}
	if bytes.Contains(text, []byte("-----BEGIN ")) {
		return nil, 0, errors.New("its last certificate is cut off or damaged")
	}
	if count == 0 {
		return nil, 0, errNoCertificate
	}
	return pool, count, nil
}

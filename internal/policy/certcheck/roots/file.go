package roots

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"postern/internal/platform/certpem"
	"postern/internal/platform/filewatch"
)

// maxFile bounds a file of roots. The whole Mozilla set takes a quarter of a megabyte.
const maxFile = 16 << 20

// reader makes certificates of a file's text. Those it leaves out are listed.
type reader func(text []byte) (certs []*x509.Certificate, left []*certpem.Error, err error)

// named reads a file that an administrator names: all of it, or it is an error.
func named(text []byte) ([]*x509.Certificate, []*certpem.Error, error) {
	certs, err := certpem.Trusted(text)
	return certs, nil, err
}

// readFile reads a PEM file of certificates, or returns have if that was read from the same content.
func readFile(name string, have *set, read reader) (*set, error) {
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
	mark := filewatch.Of(text)
	if have != nil && have.file == name && have.mark == mark {
		return have, nil
	}
	certs, left, err := read(text)
	if err != nil {
		return nil, err
	}
	fresh := &set{pool: x509.NewCertPool(), count: len(certs), file: name, mark: mark, left: left}
	for _, c := range certs {
		fresh.pool.AddCert(c)
	}
	return fresh, nil
}

// plain strips the path, which the caller says itself.
func plain(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

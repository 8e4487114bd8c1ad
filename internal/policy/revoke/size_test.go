package revoke

import (
	"crypto/x509"
	"math/big"
	"runtime"
	"testing"
	"time"

	"postern/internal/lab/pki"
)

// bigList is a list of that many entries, the certificate of q last.
func bigList(entries int) ([]byte, *question) {
	ca, q := fuzzWorld()
	return ca.CRL(pki.CRL{Strangers: entries, Revoked: []*x509.Certificate{q.cert}, Reason: 1}), q
}

// TestALongListCostsLittleBesideItself: an object for each entry would be many times the size of the list.
func TestALongListCostsLittleBesideItself(t *testing.T) {
	der, q := bigList(20_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	list, err := readCRL(der, q.issuer)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if cost := after.TotalAlloc - before.TotalAlloc; cost > uint64(len(der)/4) {
		t.Errorf("reading %d bytes allocated %d", len(der), cost)
	}
	if h, err := list.find(q.cert.SerialNumber); err != nil || h == nil || h.reason != 1 || time.Since(h.at) < time.Hour {
		t.Errorf("%+v, %v", h, err)
	}
	if h, err := list.find(big.NewInt(1)); err != nil || h != nil {
		t.Errorf("found what is not listed: %+v, %v", h, err)
	}
}

func BenchmarkLongList(b *testing.B) {
	der, q := bigList(800_000)
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(der)))
		for b.Loop() {
			if _, err := readCRL(der, q.issuer); err != nil {
				b.Fatal(err)
			}
		}
	})
	list, err := readCRL(der, q.issuer)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("find", func(b *testing.B) {
		b.SetBytes(int64(len(der)))
		for b.Loop() {
			if h, err := list.find(q.cert.SerialNumber); err != nil || h == nil {
				b.Fatal(err)
			}
		}
	})
}

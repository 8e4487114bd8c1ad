package memstore_test

import (
	"testing"

	"postern/internal/history/certstore"
	"postern/internal/history/traffic"
	"postern/internal/operator/accounts"
	"postern/internal/queue/memstore"
	"postern/internal/queue/storetest"
)

func TestAccounts(t *testing.T) {
	storetest.RunAccounts(t, func(*testing.T) (accounts.Book, func() accounts.Book) {
		s := memstore.New()
		return s, func() accounts.Book { return s }
	})
}

func TestTraffic(t *testing.T) {
	storetest.RunTraffic(t, func(*testing.T) (traffic.Book, func() traffic.Book) {
		s := memstore.New()
		return s, func() traffic.Book { return s }
	})
}

func TestCertificates(t *testing.T) {
	storetest.RunCertificates(t, func(*testing.T) (certstore.Book, func() certstore.Book) {
		s := memstore.New()
		return s, func() certstore.Book { return s }
	})
}

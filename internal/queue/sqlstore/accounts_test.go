package sqlstore

import (
	"testing"

	"postern/internal/history/certstore"
	"postern/internal/history/traffic"
	"postern/internal/operator/accounts"
	"postern/internal/queue/storetest"
)

func TestAccounts(t *testing.T) {
	storetest.RunAccounts(t, func(t *testing.T) (accounts.Book, func() accounts.Book) {
		dir := t.TempDir()
		s := open(t, dir)
		t.Cleanup(func() { _ = s.Close() })
		return s, func() accounts.Book {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
			t.Cleanup(func() { _ = s.Close() })
			return s
		}
	})
}

func TestTraffic(t *testing.T) {
	storetest.RunTraffic(t, func(t *testing.T) (traffic.Book, func() traffic.Book) {
		dir := t.TempDir()
		s := open(t, dir)
		t.Cleanup(func() { _ = s.Close() })
		return s, func() traffic.Book {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
			return s
		}
	})
}

func TestCertificates(t *testing.T) {
	storetest.RunCertificates(t, func(t *testing.T) (certstore.Book, func() certstore.Book) {
		dir := t.TempDir()
		s := open(t, dir)
		t.Cleanup(func() { _ = s.Close() })
		return s, func() certstore.Book {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
			return s
		}
	})
}

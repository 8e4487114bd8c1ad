package memstore_test

import (
	"testing"

	"postern/internal/accounts"
	"postern/internal/queue/memstore"
	"postern/internal/queue/storetest"
)

func TestAccounts(t *testing.T) {
	storetest.RunAccounts(t, func(*testing.T) (accounts.Book, func() accounts.Book) {
		s := memstore.New()
		return s, func() accounts.Book { return s }
	})
}

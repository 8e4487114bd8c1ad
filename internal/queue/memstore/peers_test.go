package memstore_test

import (
	"testing"

	"postern/internal/queue/memstore"
	"postern/internal/queue/storetest"
)

func TestPeers(t *testing.T) {
	storetest.RunBook(t, func(*testing.T) (storetest.Book, func() storetest.Book) { return memstore.New(), nil })
}

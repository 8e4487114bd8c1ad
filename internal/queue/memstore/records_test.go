package memstore_test

import (
	"testing"

	"postern/internal/platform/records"
	"postern/internal/queue/memstore"
	"postern/internal/queue/storetest"
)

func TestRecords(t *testing.T) {
	storetest.RunRecords(t, func(*testing.T) (records.Store, func() records.Store) {
		s := memstore.New()
		return s, func() records.Store { return s }
	})
}

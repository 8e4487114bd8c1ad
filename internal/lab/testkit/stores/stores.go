// Package stores lends tests each store of records: the model in memory, and the one on disk.
package stores

import (
	"testing"

	"postern/internal/platform/records"
	"postern/internal/queue/memstore"
	"postern/internal/queue/sqlstore"
)

// Each runs a test on an empty store of each kind. again closes it and opens the same data anew; in memory it is the
// same store.
func Each(t *testing.T, test func(t *testing.T, s records.Store, again func() records.Store)) {
	t.Run("memory", func(t *testing.T) {
		s := memstore.New()
		test(t, s, func() records.Store { return s })
	})
	t.Run("disk", func(t *testing.T) {
		var s *sqlstore.Store
		dir := t.TempDir()
		open := func() records.Store {
			if s != nil {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			if s, err = sqlstore.Open(t.Context(), sqlstore.Config{Dir: dir}); err != nil {
				t.Fatal(err)
			}
			return s
		}
		first := open()
		defer func() { _ = s.Close() }()
		test(t, first, open)
	})
}

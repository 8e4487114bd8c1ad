package memstore_test

import (
	"testing"

	"postern/internal/queue"
	"postern/internal/queue/memstore"
	"postern/internal/queue/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) queue.Store { return memstore.New() })
}

func TestLedger(t *testing.T) { storetest.RunLedger(t, memstore.New()) }

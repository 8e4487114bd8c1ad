package pgstore

import (
	_ "embed"

	"postern/internal/queue/postgres"
)

// formOne is what there was first.
//
//go:embed schema.sql
var formOne string

// forms bring a schema from one form to the next: entry n makes form n+1. Released entries never change.
func forms() []postgres.Form { return []postgres.Form{{Text: formOne, Needs: 1}} }

// Advisory locks of a transaction, over all gateways.
const (
	// lockSites is held shared by what lets deliveries refer to sites, so that no site is purged in between.
	lockSites = 0x5073546e + 1
	// lockRecords is held by what reads and then changes records, rules or judgements: one gateway at a time.
	lockRecords = 0x5073546e + 2
	// lockCopy is held by a connection that copies the store, with the hash of its schema.
	lockCopy = 0x5073546e + 3
)

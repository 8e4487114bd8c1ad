package pgstore

import "postern/internal/queue"

// sureOf is a check that makes the transaction fail where a lease does not stand or something is wished: it divides by
// zero then. endSure is the same while it ends the leases.
const (
	sureOf = `SELECT 1 / (CASE WHEN (SELECT count(*) FROM unnest(?1::bigint[], ?2::bigint[]) u(id, token)
		JOIN lease l ON l.delivery = u.id AND l.token = u.token) = ?3` + unwished
	endSure = `WITH gone AS (DELETE FROM lease l USING unnest(?1::bigint[], ?2::bigint[]) u(id, token)
		WHERE l.delivery = u.id AND l.token = u.token RETURNING 1)
		SELECT 1 / (CASE WHEN (SELECT count(*) FROM gone) = ?3` + unwished
	unwished = ` AND NOT EXISTS (SELECT 1 FROM wish w WHERE w.delivery = ANY(?1::bigint[])) THEN 1 ELSE 0 END)`
)

// recall takes what is to be looked up of deliveries from memory, and reports whether it did.
func (t *txn) recall() bool {
	if t.doubt {
		return false
	}
	found, all := t.s.given.Of(t.leases)
	if !all {
		return false
	}
	t.rows = make(map[queue.DeliveryID]*deliveryRow, len(found))
	for i := range found {
		d := &found[i]
		t.rows[d.ID] = &deliveryRow{Delivery: d.Delivery, facts: d.Facts, token: t.leases[i].Token, leased: true}
	}
	t.unsure, t.recalled = t.leases, true
	return true
}

// Package pki makes certificates for the demo and for tests: a root, intermediates, and leaves that are good or have
// exactly the fault asked for. It has no clock: every date is counted from the time given to NewRoot.
//
//	ca := pki.New(now, "Demo CA")
//	good := ca.Issue(pki.Options{Names: []string{"mx.partner.test"}})
//	expired := ca.Issue(pki.Options{Names: []string{"mx.partner.test"}, NotAfter: now.Add(-time.Hour)})
//	lone := ca.Issue(pki.Options{Names: []string{"mx.partner.test"}, OmitIntermediates: true})
//	unknown := pki.New(now, "Some other CA").Issue(pki.Options{Names: []string{"mx.partner.test"}})
//
// Nothing made here may be trusted outside a laboratory: the private keys live only in memory and in what Issue
// returns, and most options exist to make certificates that must be refused.
package pki

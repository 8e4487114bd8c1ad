// Package zonewatch asks what others see of our own domains: DNS, and the policy hosts over HTTPS. What follows from
// it is said in policy/ownzone, which judges what is found here.
//
//	Asker.Look    asks once, for `postern records --check`        ask.go
//	Watcher.Run   asks now and then, and warns                    watch.go
//
// The policy host is asked as any sender asks it (stscache.HTTPS), also where this gateway serves the policy itself:
// the name, the certificate, the way there and whatever stands in front are what goes wrong. It may have a private
// address, for inside one's own network names often lead another way; what strangers see is then not known here.
//
// The Watcher looks some minutes after the start and after a reload, and every few hours, at times of its own. Each
// finding is warned of once a day. Of domains without a policy no more is looked at than the record about reports,
// where reports are taken: to publish nothing is no mistake, and where mail comes in by another way there is no MX
// record to complain of.
package zonewatch

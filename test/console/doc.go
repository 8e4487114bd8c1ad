// Package console drives the console in a real browser: Debian's Chromium, against the real binary in a world of
// partners.
//
//	browser.go       one browser, and what a person does in it; every fault a page reports fails the test
//	console_test.go  first start, rules, mail that waits and goes, checks, rolling back, what an auditor may not
//	look_test.go     every page in both colours and two sizes: pictures, and axe-core's judgement
//	client_test.go   a client generated from the API's own description
//
// It skips where there is no Chromium; test/prepare.sh browser installs one. Pictures go to the folder of `go test
// -artifacts`.
package console

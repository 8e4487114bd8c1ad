//go:build !linux

package server

// noService says why this system is none for service.
const noService = "this system is not supported for service: that mail answered 250 survives a power cut was tried " +
	"on Linux alone, and the process keeps rights that it would give up there"

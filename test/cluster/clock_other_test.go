//go:build !amd64

package cluster

// wrongClock is there where its machine code is.
func wrongClock(string, []string) int { return 1 }

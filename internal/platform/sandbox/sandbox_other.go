//go:build !linux

package sandbox

// NoDumps is for Linux only.
func NoDumps() error { return ErrUnsupported }

// NoCapabilities is for Linux only.
func NoCapabilities() error { return ErrUnsupported }

// WriteOnly is for Linux only.
func WriteOnly(...string) (version int, err error) { return 0, ErrUnsupported }

package main

import (
	"fmt"
	"strings"

	"postern/bench/measure"
)

// Work is one kind of work that every server is put through.
type Work struct {
	// Size of a message in bytes.
	Size int
	// TLS on both hops, or plaintext on both.
	TLS bool
	// PerConnection messages over one connection of the source; Connections at a time.
	PerConnection, Connections int
	// Recipients of each message, at Domains domains in turn.
	Recipients, Domains int
	// Rules in force, none of which matches. Only Postern has any.
	Rules int
}

// String is a short name for tables: "4 KiB TLS, 10 a connection".
func (w Work) String() string {
	parts := []string{measure.Bytes(w.Size) + map[bool]string{true: " TLS", false: " plain"}[w.TLS], fmt.Sprintf("%d a connection", w.PerConnection)}
	if w.Recipients > 1 {
		parts = append(parts, fmt.Sprintf("%d recipients", w.Recipients))
	}
	if w.Domains > 1 {
		parts = append(parts, fmt.Sprintf("%d domains", w.Domains))
	}
	if w.Rules > 0 {
		parts = append(parts, fmt.Sprintf("%d rules", w.Rules))
	}
	return strings.Join(parts, ", ")
}

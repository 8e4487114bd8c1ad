package main

import (
	"errors"
	"fmt"
	"strings"

	"postern/bench/measure"
)

// Work is one kind of work.
type Work struct {
	// Size of a message in bytes.
	Size int `json:"size"`
	// TLS on both hops, or plaintext on both.
	TLS bool `json:"tls"`
	// PerConnection messages over one connection of the source; Connections at a time.
	PerConnection int `json:"per_connection"`
	Connections   int `json:"connections"`
	// Recipients of each message, at Domains domains in turn.
	Recipients int `json:"recipients"`
	Domains    int `json:"domains"`
	// Hops is how many next hops there are, one for each of as many Domains; 0: one for all.
	Hops int `json:"hops,omitempty"`
}

// ordinary is the work most comparisons vary: 4 KiB over TLS, ten messages a connection, 32 connections.
func ordinary() Work {
	return Work{Size: 4 << 10, TLS: true, PerConnection: 10, Connections: 32, Recipients: 1, Domains: 1}
}

func (w Work) check() error {
	if w.Size < 512 || min(w.PerConnection, w.Connections, w.Recipients, w.Domains) < 1 {
		return errors.New("a message has at least 512 bytes, and of everything else there is at least one")
	}
	return nil
}

// String is a short name for tables: "4 KiB TLS, 10 a connection".
func (w Work) String() string {
	channel := "plaintext"
	if w.TLS {
		channel = "TLS"
	}
	parts := []string{measure.Bytes(w.Size) + " " + channel, fmt.Sprintf("%d a connection", w.PerConnection)}
	if w.Connections != ordinary().Connections {
		parts = append(parts, fmt.Sprintf("%d connections", w.Connections))
	}
	if w.Recipients > 1 {
		parts = append(parts, fmt.Sprintf("%d recipients", w.Recipients))
	}
	if w.Hops > 0 {
		parts = append(parts, fmt.Sprintf("%d next hops", w.Hops))
	} else if w.Domains > 1 {
		parts = append(parts, fmt.Sprintf("%d domains", w.Domains))
	}
	return strings.Join(parts, ", ")
}

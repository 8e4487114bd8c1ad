package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/nodes"
	"postern/internal/lab/testkit/nodeboard"
	"postern/internal/operator/admin"
)

// shared makes a gateway gw1 one of three: gw2 is silent for 20 of the 30 seconds of its lease and judges by nothing,
// gw3 is gone.
func shared(t *testing.T, board *nodeboard.Board) func(*admin.Config) {
	silent := func(name string, lease time.Duration) {
		if _, err := board.Renew(t.Context(), nodes.Report{Session: name, Name: name, Release: "0.9", Lease: lease, Held: 12, Anew: true}); err != nil {
			t.Fatal(err)
		}
	}
	silent("gw2", 30*time.Second)
	silent("gw3", 10*time.Second)
	board.Clock += 20 * time.Second
	return func(c *admin.Config) {
		keeper := c.Rules
		c.Nodes = nodes.New(nodes.Config{Registry: board, Session: "gw1", Name: "gw1", Release: "1.0", Wait: 3 * time.Second,
			InForce: func() nodes.Mark { v := keeper.Now(); return nodes.Mark{Rules: v.Revision, Number: v.Number} }})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); c.Nodes.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-ended })
		for !c.Nodes.Live() {
			time.Sleep(time.Millisecond)
		}
	}
}

// changing is what differs with each run.
var changing = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^ "]*|"(renewed_ms|lease_left_ms|store_ms)":-?\d+|\d+m?s ago|\b\d+ms\b`)

func TestNodes(t *testing.T) {
	run := serveBacklog(t, shared(t, nodeboard.New()))
	code, stdout, stderr := run("nodes")
	if code != 1 || stderr != "" {
		t.Errorf("exit %d: %s", code, stderr)
	}
	golden(t, "nodes.txt", changing.ReplaceAllString(stdout, "~"))
	_, stdout, _ = run("nodes", "--json")
	golden(t, "nodes.json", changing.ReplaceAllString(stdout, "~"))
	alone := serveBacklog(t)
	code, stdout, stderr = alone("nodes")
	if code != 0 || stderr != "" {
		t.Errorf("exit %d: %s", code, stderr)
	}
	golden(t, "nodes-alone.txt", changing.ReplaceAllString(stdout, "~"))
}

// TestApplyTellsWhomItWaitsFor, and at its bound where the rules are not in force yet; exit code 1.
func TestApplyTellsWhomItWaitsFor(t *testing.T) {
	run := serveBacklog(t, shared(t, nodeboard.New()))
	file := filepath.Join(t.TempDir(), "rules.toml")
	if err := os.WriteFile(file, []byte(operateRules), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := run("rules", "apply", file)
	if code != 1 || !strings.Contains(stdout, "is in force: 2 rules") {
		t.Errorf("exit %d: %s", code, stdout)
	}
	golden(t, "apply-not-yet.txt", changing.ReplaceAllString(stderr, "~"))
}

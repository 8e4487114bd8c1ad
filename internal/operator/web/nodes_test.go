package web

import (
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/nodes"
	"postern/internal/lab/testkit/nodeboard"
	"postern/internal/operator/admin"
)

// The page of gateways shows each with what it judges by; one that judges by something else stands out, and so does one
// that is gone.
func TestTheGatewaysOfAQueueAreShown(t *testing.T) {
	board := nodeboard.New()
	report := func(name string, lease time.Duration, rules int64) {
		r := nodes.Report{Session: name, Name: name, Release: "0.9<b>", Lease: lease, Held: 12, Anew: true, InForce: nodes.Mark{Rules: rules, Number: rules}}
		if _, err := board.Renew(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	report("gw2", 30*time.Second, 7)
	report("gw3", 10*time.Second, 0)
	board.Clock += 20 * time.Second
	b := newConsole(t, func(c *admin.Config) {
		c.Nodes = nodes.New(nodes.Config{Registry: board, Session: "gw1", Name: "gw1", Release: "1.0", Lease: 30 * time.Second,
			InForce: func() nodes.Mark { return nodes.Mark{} }})
	})
	b.setUp()
	p := b.get("/gateway/nodes").has(b, 200, "gw2", "revision 7", "another", "12 deliveries", "gw3", "gone", "0.9&lt;b&gt;")
	if strings.Count(p.text, ">another<") != 1 {
		t.Errorf("not one gateway judges by another revision:\n%s", p.text)
	}
}

// A gateway that stands alone says what would let several share a queue.
func TestAGatewayAloneSaysSo(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.get("/gateway/nodes").has(b, 200, "keeps its queue itself")
}

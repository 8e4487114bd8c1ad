// Package cluster runs several gateways, the real binary, on one PostgreSQL database, and takes away one thing after
// the other: a gateway, the way to the database, the database itself.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"postern/internal/lab/postgres"
	"postern/internal/queue/database"
	pg "postern/internal/queue/postgres"
	"postern/test/harness"
)

// clockArgument has this test program run another one with a wrong clock: see wrongClock.
const clockArgument = "run-with-clock-off-by"

func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == clockArgument {
		os.Exit(wrongClock(os.Args[2], os.Args[3:]))
	}
	harness.Main(m)
}

// cluster is gateways gw1, gw2 and so on of one organisation, not yet started, and their database.
type cluster struct {
	t  *testing.T
	db *postgres.Server // nil: see gateways
	gw []*harness.World
}

// lease is that of each gateway. Half of it without the database and a gateway is silent.
const lease = "4s"

// of makes a cluster of n gateways. Where there is no PostgreSQL the test skips, and fails with CI set.
func of(t *testing.T, n int) *cluster {
	t.Helper()
	db := harness.Database(t)
	c := gateways(t, n, db.URL())
	c.db = db
	return c
}

// gateways makes a cluster of n gateways on a database that is there.
func gateways(t *testing.T, n int, url string) *cluster {
	t.Helper()
	c := &cluster{t: t, gw: []*harness.World{harness.NewWorld(t)}}
	c.gw[0].Settings["store"] = fmt.Sprintf("%q", url)
	c.gw[0].Settings["cluster.lease"] = fmt.Sprintf("%q", lease)
	for range n - 1 {
		c.gw = append(c.gw, c.gw[0].Sibling())
	}
	for i, w := range c.gw {
		w.Settings["cluster.node"] = fmt.Sprintf("%q", fmt.Sprint("gw", i+1))
	}
	return c
}

// start starts all of them, with rules in force.
func (c *cluster) start(rules string) {
	c.t.Helper()
	for _, w := range c.gw {
		w.Port, w.Zone = c.gw[0].Port, c.gw[0].Zone
		w.Start("")
		if w.Under == nil { // one under a wrong clock may never do so
			harness.Eventually(c.t, harness.Patience, "it takes mail", func() bool { return takes(w) })
		}
	}
	if rules != "" {
		c.gw[0].Apply(rules)
	}
}

// takes reports whether a gateway takes mail: one that has just joined may say for a moment that it does not.
func takes(w *harness.World) bool {
	c := harness.Dial(w.T, w.Addr, "")
	defer c.Conn.Close()
	c.Read()
	for _, line := range []string{"EHLO mail.home.test", "MAIL FROM:<anna@home.test>"} {
		c.Raw(line + "\r\n")
		if reply := c.Read(); reply == "" || reply[0] != '2' {
			return false
		}
	}
	return true
}

// ask lends a connection to the database of its owner, beside those of the gateways.
func (c *cluster) ask(do func(ctx context.Context, conn *pg.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*harness.Patience)
	defer cancel()
	cfg, err := pg.Parse(c.db.URL(), "public", 1)
	if err != nil {
		return err
	}
	conn, err := pg.Dial(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, conn), conn.Close())
}

// script has the database do something that must succeed.
func (c *cluster) script(text string) {
	c.t.Helper()
	if err := c.ask(func(ctx context.Context, conn *pg.Conn) error { return conn.Script(ctx, text) }); err != nil {
		c.t.Fatal(err)
	}
}

// numbers are the first column of a query.
func (c *cluster) numbers(query string) (out []int64) {
	c.t.Helper()
	if err := c.ask(func(ctx context.Context, conn *pg.Conn) error {
		return conn.Query(ctx, query, func(r database.Row) error {
			out = append(out, r.Int(0))
			return nil
		})
	}); err != nil {
		c.t.Fatal(err)
	}
	return out
}

// answers reports whether the database does.
func (c *cluster) answers() bool {
	return c.ask(func(ctx context.Context, conn *pg.Conn) error { return conn.Script(ctx, "SELECT 1") }) == nil
}

// hand hands a message to a gateway and returns its id, "" with the reply where it was not taken.
func hand(w *harness.World, to string) (id, reply string) {
	w.T.Helper()
	c := harness.Dial(w.T, w.Addr, "")
	defer c.Conn.Close()
	from := "anna@home.test"
	for _, line := range []string{"", "EHLO mail.home.test", "MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA",
		harness.Message(from, []string{to}, "for "+to) + "."} {
		if line != "" {
			c.Raw(line + "\r\n")
		}
		if reply = c.Read(); reply == "" || reply[0] > '3' {
			return "", strings.TrimSpace(reply)
		}
	}
	words := strings.Fields(reply)
	return words[len(words)-1], strings.TrimSpace(reply)
}

// copies counts how often a server has taken a message for a recipient.
func copies(messages []string, to string) (n int) {
	for _, m := range messages {
		if strings.Contains(m, "for "+to+"\r\n") {
			n++
		}
	}
	return n
}

package cluster

import (
	"fmt"
	"net/url"
	"regexp"
	"testing"
	"time"
)

// renewing tells the connections over which gateways renew their leases from all others.
const renewing = "(query LIKE 'UPDATE node %' OR query LIKE '%FROM revision)%FROM node WHERE until >%')"

// longLease is so long that a busy machine costs nobody his lease.
const longLease = `"9s"`

// lives watches until it is stopped whether both gateways have, without a break, the leases that they had.
func (c *cluster) lives() (stop func()) {
	c.t.Helper()
	const joined = "SELECT (extract(epoch FROM joined) * 1000000)::bigint FROM postern.node WHERE until > clock_timestamp() ORDER BY 1"
	before := fmt.Sprint(c.numbers(joined))
	ended, done := make(chan struct{}), make(chan string)
	go func() {
		for {
			select {
			case <-ended:
				done <- ""
				return
			case <-time.After(100 * time.Millisecond):
			}
			if now := fmt.Sprint(c.numbers(joined)); now != before {
				<-ended
				done <- now
				return
			}
		}
	}()
	return func() {
		c.t.Helper()
		close(ended)
		if now := <-done; now != "" {
			c.t.Errorf("gateways that joined at %s had a lease, and then those that joined at %s", before, now)
		}
	}
}

// TestAGatewayThatGetsNoConnectionsLives: the database takes no more connections of the gateways, and has ended those
// they had, but for the one over which each renews its lease.
func TestAGatewayThatGetsNoConnectionsLives(t *testing.T) {
	t.Parallel()
	c := of(t, 2)
	c.script("CREATE ROLE gateway LOGIN; GRANT CREATE ON DATABASE postgres TO gateway")
	u, err := url.Parse(c.db.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User("gateway")
	rules := town(c)
	for _, w := range c.gw {
		w.Settings["cluster.lease"] = longLease
		w.Settings["store"] = fmt.Sprintf("%q", u.String())
	}
	c.start(rules)
	l := startLoad(c, 40*time.Millisecond)
	l.works(t)
	stop := c.lives()
	c.script("ALTER ROLE gateway CONNECTION LIMIT 1")
	if n := len(c.numbers("SELECT pid FROM (SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gateway' AND NOT " +
		renewing + ") gone")); n < 10 {
		t.Fatalf("%d connections were ended: this test shows nothing", n)
	}
	c.refuses(regexp.MustCompile(`^451 4\.3\.`), regexp.MustCompile(`too many connections`))
	c.script("ALTER ROLE gateway CONNECTION LIMIT -1")
	c.recovered()
	l.works(t)
	stop()
	l.stop()
	l.tell(t, c, 20)
}

// TestConnectionsThatHangCostNoLease: nothing gets through any more over the connections of both gateways, and nobody
// is told, but for those over which they renew their leases. New connections work.
func TestConnectionsThatHangCostNoLease(t *testing.T) {
	t.Parallel()
	c := of(t, 2)
	rules := town(c)
	var ways []*way
	for _, w := range c.gw {
		way, url := wayTo(t, c.db.URL())
		w.Settings["cluster.lease"] = longLease
		w.Settings["store"] = fmt.Sprintf("%q", url)
		ways = append(ways, way)
	}
	c.start(rules)
	l := startLoad(c, 40*time.Millisecond)
	l.works(t)
	stop := c.lives()
	but := c.numbers("SELECT client_port FROM pg_stat_activity WHERE " + renewing)
	for _, w := range ways {
		if n := w.hang(but); n < 5 {
			t.Fatalf("%d connections hang: this test shows nothing", n)
		}
	}
	l.works(t)
	stop()
	l.stop()
	l.tell(t, c, 20)
}

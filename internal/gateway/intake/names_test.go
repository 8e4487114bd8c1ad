package intake_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/clientname"
	"postern/internal/gateway/intake"
	"postern/internal/lab/testkit/zone"
)

// stamped sends a message from an address and returns the first line of its stamp, and how long the session took. login
// is an AUTH of the user.
func stamped(t *testing.T, dns *zone.Resolver, from string, login bool) (line string, took time.Duration) {
	t.Helper()
	w := newWorld(t, "", "")
	names := clientname.New(clientname.Config{Resolver: dns})
	w.reload(func(c *intake.Config) { c.Names = names })
	nc := w.dial(from)
	r := bufio.NewReader(nc)
	start := time.Now()
	say := func(line, want string) {
		t.Helper()
		if line != "" {
			if _, err := nc.Write([]byte(line + "\r\n")); err != nil {
				t.Fatal(err)
			}
		}
		for {
			got, err := r.ReadString('\n')
			if err != nil || !strings.HasPrefix(got, want) {
				t.Fatalf("%s: %q, %v, want %s", line, got, err, want)
			}
			if got[3] == ' ' {
				return
			}
		}
	}
	say("", "220")
	say("EHLO client.test", "250")
	if login {
		say("STARTTLS", "220")
		tc := tls.Client(nc, &tls.Config{RootCAs: w.ca.Pool(), ServerName: "gw.test"})
		nc, r = tc, bufio.NewReader(tc)
		say("EHLO client.test", "250")
		say("AUTH PLAIN AHVzZXIAc2VjcmV0", "235")
	}
	say("MAIL FROM:<a@world.test>", "250")
	say("RCPT TO:<b@example.test>", "250")
	if time.Since(start) > 0 {
		t.Errorf("the session was kept waiting for %v before DATA", time.Since(start))
	}
	say("DATA", "354")
	say("Subject: x\r\n\r\nx\r\n.", "250")
	say("QUIT", "221")
	took = time.Since(start)
	nc.Close()
	w.close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := names.Run(ctx); err != nil {
		t.Error(err)
	}
	_, text := w.message()
	line, _, _ = strings.Cut(text, "\n")
	return line, took
}

func TestTheStampNamesTheClientOnlyWhereDNSAgrees(t *testing.T) {
	const zones = `
7.100.51.198.in-addr.arpa PTR Mail.World.test.
mail.world.test           A 198.51.100.7
8.100.51.198.in-addr.arpa PTR bank.test.
bank.test                 A 198.51.100.99
9.100.51.198.in-addr.arpa servfail
10.100.51.198.in-addr.arpa timeout
7.3.2.10.in-addr.arpa     PTR mail.world.test.
`
	for _, c := range []struct {
		from  string
		login bool
		want  string
		took  time.Duration
	}{
		{"198.51.100.7", false, "(mail.world.test [198.51.100.7])", 0},
		{"198.51.100.7", true, "(mail.world.test [198.51.100.7])", 0},
		{"198.51.100.8", false, "(unknown [198.51.100.8])", 0},
		{"198.51.100.77", false, "(unknown [198.51.100.77])", 0},
		{"198.51.100.77", true, "([198.51.100.77])", 0}, // our own side, wherever it is
		{"198.51.100.9", false, "([198.51.100.9])", 0},
		{"198.51.100.10", false, "([198.51.100.10])", 2 * time.Second},
		{"10.2.3.7", false, "([10.2.3.7])", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			dns := zone.New(t, zones)
			line, took := stamped(t, dns, c.from, c.login)
			if line != "Received: from client.test "+c.want {
				t.Errorf("%s, logged in %v: %s, want %s", c.from, c.login, line, c.want)
			}
			if took != c.took {
				t.Errorf("%s: the session took %v, want %v", c.from, took, c.took)
			}
			if c.from == "10.2.3.7" && dns.Asked() > 0 {
				t.Errorf("%d questions about a client of our own network", dns.Asked())
			}
		})
	}
}

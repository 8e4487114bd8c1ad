package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/test/harness"
	"postern/test/peers"
)

// TestBehindHAProxy sends mail through Debian's HAProxy, which says by either version who the client is, and lets it
// check the gateway as its manual says.
func TestBehindHAProxy(t *testing.T) {
	peers.NeedRoot(t)
	w := harness.NewWorld(t)
	balancer, member, stranger := harness.NewIP(), harness.NewIP(), harness.NewIP()
	w.Settings["relay.networks"] = fmt.Sprintf("[%q]", member+"/32")
	implicit := harness.FreeAddress(t)
	w.More = append([]string{fmt.Sprintf("proxy = [%q]\n[[listen]]\nmode = \"smtps\"\nname = \"tls\"\naddress = %q\nproxy = [%q]\n",
		balancer+"/32", implicit, balancer+"/32")}, w.More...)
	w.Start("")

	front := map[string]string{}
	var sections strings.Builder
	for name, how := range map[string]string{
		"one":  w.Addr + " send-proxy check",
		"two":  w.Addr + " send-proxy-v2 check",
		"more": w.Addr + " send-proxy-v2 proxy-v2-options crc32c,unique-id,authority check",
		"tls":  implicit + " send-proxy-v2",
		"bare": w.Addr + " check",
	} {
		front[name] = harness.FreeAddress(t)
		check := "option smtpchk EHLO haproxy.test"
		if name == "tls" {
			check = ""
		}
		fmt.Fprintf(&sections, "listen %s\n bind %s\n unique-id-format %%pid-%%rt\n %s\n server gw %s source %s inter 200 fall 1\n", name, front[name], check, how, balancer)
	}
	ha := peers.HAProxy(t, sections.String())

	for _, name := range []string{"one", "two", "more", "tls"} {
		give := func(from string) *harness.Client {
			c := harness.Dial(t, front[name], from)
			if name == "tls" {
				c.Shake(nil)
			}
			c.Wants("220")
			c.Say("EHLO client.test", "250")
			return c
		}
		c := give(stranger)
		c.Say("MAIL FROM:<a@world.test>", "250")
		c.Say("RCPT TO:<b@elsewhere.test>", "5") // nobody's balancer lets strangers relay
		c.Say("RSET", "250")
		c.Transaction("a@world.test", []string{"anna@home.test"}, harness.Message("a@world.test", []string{"anna@home.test"}, "by "+name))
		c.Say("QUIT", "221")
		harness.Eventually(t, harness.Patience, "mail by "+name, func() bool { return len(harness.Bodies(w.Home(), "by "+name+"\r\n")) > 0 })
		first, _, _ := strings.Cut(harness.Bodies(w.Home(), "by "+name+"\r\n")[0].Data, "\r\n")
		if !strings.Contains(first, "["+stranger+"]") || strings.Contains(first, balancer) {
			t.Errorf("%s: stamped %s, and the client was %s", name, first, stranger)
		}
		c = give(member)
		c.Say("MAIL FROM:<a@home.test>", "250")
		c.Say("RCPT TO:<b@elsewhere.test>", "250") // this one may
		c.Say("QUIT", "221")
	}

	for name, want := range map[string]string{"one": "UP L7OK", "two": "UP L7OK", "more": "UP L7OK", "bare": "DOWN L7RSP"} {
		harness.Eventually(t, harness.Patience, name+" is "+want, func() bool { return ha.State(t, name, "gw") == want })
	}
	before := w.Log()
	time.Sleep(2 * time.Second) // ten checks of each
	more := strings.TrimPrefix(w.Log(), before)
	if n := strings.Count(more, "\n"); n > 2 {
		t.Errorf("checks fill the log:\n%s", more)
	}
	if n := strings.Count(w.Log(), "msg=proxy-refused"); n == 0 || n > 2 || !strings.Contains(w.Log(), "check-send-proxy") || !strings.Contains(w.Log(), balancer) {
		t.Errorf("%d lines tell of the balancer that sends no header:\n%s", n, w.Log())
	}

	// Whoever is no balancer is read as ever, and is no other client by saying so.
	c := harness.Dial(t, w.Addr, stranger)
	c.Raw("PROXY TCP4 " + member + " 127.0.0.1 1000 25\r\n")
	c.Wants("220")
	c.Wants("500")
	c.Say("EHLO client.test", "250")
	c.Say("MAIL FROM:<a@home.test>", "250")
	c.Say("RCPT TO:<b@elsewhere.test>", "5")
}

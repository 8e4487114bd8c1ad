package acceptance

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"postern/test/harness"
)

// proxyHeader is what a load balancer says of a client, in version 1 or 2.
func proxyHeader(version int, client string) string {
	if version == 1 {
		return "PROXY TCP4 " + client + " 192.0.2.80 42578 25\r\n"
	}
	a := netip.MustParseAddr(client).As4()
	head := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), a[:]...)
	head = append(head, 192, 0, 2, 80)
	return string(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(head, 42578), 25))
}

// TestTheClientBehindALoadBalancer: its address counts for relaying, limits, stamp and log, on every kind of listener,
// and from a named network alone.
func TestTheClientBehindALoadBalancer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	balancer, member := harness.NewIP(), "198.51.100.7"
	w.Settings["relay.networks"] = fmt.Sprintf("[%q]", member+"/32")
	w.Settings["limits.connections_per_client"] = "3"
	w.Settings["limits.proxy_timeout"] = `"1s"`
	smtps, web := harness.FreeAddress(t), harness.FreeAddress(t)
	w.More = append([]string{fmt.Sprintf("proxy = [%q]\n[[listen]]\nmode = \"smtps\"\nname = \"tls\"\naddress = %q\nproxy = [%q]\n"+
		"[[listen]]\nmode = \"web\"\nname = \"web\"\naddress = %q\nproxy = [%q]\n", balancer+"/32", smtps, balancer+"/32", web, balancer+"/32")}, w.More...)
	w.Settings["log.level"] = `"debug"`
	partner := w.Domain("part.test", w.Good("mx.part.test"))
	w.Start("")

	for version := 1; version <= 2; version++ {
		text := fmt.Sprint("version ", version)
		c := harness.Dial(t, w.Addr, balancer)
		c.Raw(proxyHeader(version, member))
		c.Wants("220")
		c.Say("EHLO client.test", "250")
		c.StartTLS(nil)
		c.Say("EHLO client.test", "250")
		c.Transaction("anna@home.test", []string{"b@part.test"}, harness.Message("anna@home.test", []string{"b@part.test"}, text))
		c.Say("QUIT", "221")
		harness.Eventually(t, harness.Patience, text, func() bool { return len(harness.Bodies(partner, text+"\r\n")) > 0 })
		if first, _, _ := strings.Cut(harness.Bodies(partner, text+"\r\n")[0].Data, "\r\n"); !strings.Contains(first, "["+member+"]") {
			t.Errorf("%s is stamped %s", text, first)
		}
		c = harness.Dial(t, smtps, balancer)
		c.Raw(proxyHeader(version, "203.0.113.9"))
		c.Shake(nil)
		c.Wants("220")
		c.Say("EHLO client.test", "250")
		c.Say("MAIL FROM:<a@world.test>", "250")
		c.Say("RCPT TO:<b@part.test>", "550") // not of relay.networks, whoever the balancer is
		c.Say("QUIT", "221")
	}

	// A client has its own limit, and the balancer none.
	var open []*harness.Client
	for range 3 {
		c := harness.Dial(t, w.Addr, balancer)
		c.Raw(proxyHeader(2, "203.0.113.20"))
		c.Wants("220")
		open = append(open, c)
	}
	c := harness.Dial(t, w.Addr, balancer)
	c.Raw(proxyHeader(2, "203.0.113.20"))
	c.Wants("421 4.7.0")
	c = harness.Dial(t, w.Addr, balancer)
	c.Raw(proxyHeader(1, "203.0.113.21"))
	c.Wants("220")
	for _, c := range open {
		c.Conn.Close()
	}

	// HTTPS, and the header before its handshake.
	c = harness.Dial(t, web, balancer)
	c.Raw(proxyHeader(2, "203.0.113.30"))
	state := c.Shake(&tls.Config{InsecureSkipVerify: true, ServerName: "gw.home.test"})
	c.Raw("GET / HTTP/1.1\r\nHost: gw.home.test\r\nConnection: close\r\n\r\n")
	if line, err := c.R.ReadString('\n'); err != nil || !strings.Contains(line, "200") || state.Version < tls.VersionTLS12 {
		t.Errorf("the page of partners: %q, %v", line, err)
	}
	harness.Eventually(t, harness.Patience, "the line of the request", func() bool { return strings.Contains(w.Log(), "msg=web-request listener=web client=203.0.113.30") })

	// The gateway's own word on it: without a header, with a bad one, and from elsewhere.
	for _, say := range []string{"EHLO client.test\r\n", "PROXY TCP4 203.0.113.9 192.0.2.80 042578 25\r\n", ""} {
		c := harness.Dial(t, w.Addr, balancer)
		c.Raw(say)
		if reply := c.Read(); reply != "" {
			t.Errorf("after %q it says %q", say, reply)
		}
	}
	harness.Eventually(t, harness.Patience, "three lines", func() bool { return strings.Count(w.Log(), "msg=proxy-refused") == 3 })
	if log := w.Log(); strings.Count(log, "level=WARN msg=proxy-refused") != 1 || !strings.Contains(log, "client="+balancer+" text=\"no PROXY header\"") || !strings.Contains(log, "send-proxy-v2") {
		t.Errorf("the log:\n%s", log)
	}
	c = w.Connect(harness.Stranger)
	c.Say(strings.TrimSuffix(proxyHeader(1, member), "\r\n"), "500")
	c.Say("EHLO client.test", "250")
	c.Say("MAIL FROM:<a@home.test>", "250")
	c.Say("RCPT TO:<b@part.test>", "550")
}

// TestASocketOfSystemdBehindALoadBalancer: the header is read at a socket that was handed over as well.
func TestASocketOfSystemdBehindALoadBalancer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	balancer := harness.NewIP()
	w.More = append([]string{fmt.Sprintf("proxy = [%q]\n", balancer+"/32")}, w.More...)
	l, err := net.Listen("tcp", w.Addr)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	defer f.Close()
	w.Configure()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" serve --config "$1"`, harness.Binary(), w.ConfigFile())
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), "LISTEN_FDS=1"), []*os.File{f}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}()
	c := harness.Dial(t, w.Addr, balancer)
	c.Raw(proxyHeader(2, "203.0.113.9"))
	c.Wants("220")
	c.Say("EHLO client.test", "250")
	c.Transaction("a@world.test", []string{"anna@home.test"}, harness.Message("a@world.test", []string{"anna@home.test"}, "by systemd"))
	harness.Eventually(t, harness.Patience, "the mail", func() bool { return len(harness.Bodies(w.Home(), "by systemd\r\n")) > 0 })
	if first, _, _ := strings.Cut(harness.Bodies(w.Home(), "by systemd\r\n")[0].Data, "\r\n"); !strings.Contains(first, "[203.0.113.9]") {
		t.Errorf("stamped %s", first)
	}
}

// TestMailLeavesByTheSource: connections come from the address that the configuration or the route names.
func TestMailLeavesByTheSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	general, special := harness.NewIP(), harness.NewIP()
	from := make(chan string, 100)
	l, err := net.Listen("tcp", harness.NewIP()+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
			from <- host
			fmt.Fprint(c, "421 not now\r\n")
			c.Close()
		}
	}()
	w.Settings["delivery.source"] = fmt.Sprintf("[%q]", general)
	w.Settings["delivery.retry"] = `["1h"]`
	w.More = append(w.More, fmt.Sprintf("[[route]]\nmatch = [\"a.test\", \"b.test\"]\nto = [%q]\n[[route]]\nmatch = [\"*.b.test\"]\nto = [%q]\nsource = [%q]\n",
		l.Addr(), l.Addr(), special))
	w.Start("")
	for to, want := range map[string]string{"x@a.test": general, "x@y.b.test": special} {
		w.Send("anna@home.test", "to "+to, to)
		if got := <-from; got != want {
			t.Errorf("mail to %s from %s, want %s", to, got, want)
		}
		w.Await(to, func(tr harness.Trace) bool { return tr.State == "queued" && tr.Reason != "" })
		for len(from) > 0 {
			if got := <-from; got != want {
				t.Errorf("mail to %s from %s as well", to, got)
			}
		}
	}
	w.Run("", "check", "a.test")
	if len(from) == 0 {
		t.Error("check did not come at all")
	}
	for len(from) > 0 {
		if got := <-from; got != general {
			t.Errorf("check came from %s", got)
		}
	}
}

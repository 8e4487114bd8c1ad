package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"postern/test/harness"
)

// ownAddresses gives the loopback interface of a network of our own more addresses.
func ownAddresses(t *testing.T, addrs ...[4]byte) {
	t.Helper()
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	for i, a := range addrs {
		alias, err := unix.NewIfreq(fmt.Sprintf("lo:%d", i+1))
		if err == nil {
			err = errors.Join(alias.SetInet4Addr(a[:]), unix.IoctlIfreq(socket, unix.SIOCSIFADDR, alias))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheNameOfAClient sends from public addresses, which a network of its own has, and reads what came out with our
// own reader.
func TestTheNameOfAClient(t *testing.T) {
	if !aloneOnItsNetwork(t) {
		return
	}
	ownAddresses(t, [4]byte{203, 0, 113, 1}, [4]byte{203, 0, 113, 7}, [4]byte{203, 0, 113, 8}, [4]byte{203, 0, 113, 9})
	w := harness.NewWorld(t)
	w.Addr = "203.0.113.1:2525"
	w.Record("7.113.0.203.in-addr.arpa PTR Mail.World.test.", "mail.world.test A 203.0.113.7",
		"8.113.0.203.in-addr.arpa PTR bank.test.", "bank.test A 203.0.113.99", "9.113.0.203.in-addr.arpa servfail")
	w.Start("")
	send := func(from, text string) string {
		c := w.Connect(from)
		defer c.Conn.Close()
		c.Say("EHLO client.world.test", "250")
		c.Transaction("a@world.test", []string{"anna@home.test"}, harness.Message("a@world.test", []string{"anna@home.test"}, text))
		harness.Eventually(t, harness.Patience, "mail "+text, func() bool { return len(harness.Bodies(w.Home(), text+"\r\n")) > 0 })
		return harness.Bodies(w.Home(), text+"\r\n")[0].Data
	}
	for from, want := range map[string]string{"203.0.113.7": "(mail.world.test [203.0.113.7])", "203.0.113.8": "(unknown [203.0.113.8])",
		"203.0.113.9": "([203.0.113.9])", "127.0.0.1": "([127.0.0.1])"} {
		mail := send(from, "from "+from)
		first, _, _ := strings.Cut(mail, "\r\n")
		if first != "Received: from client.world.test "+want {
			t.Errorf("%s, want %s", first, want)
		}
		name := ""
		if from == "203.0.113.7" {
			name = "mail.world.test"
		}
		read := w.Run(mail, "headers", "--json")
		if !strings.Contains(read.Stdout, fmt.Sprintf(`"from_name":%q,"from_ip":%q`, name, from)) {
			t.Errorf("postern headers read %d %s %s", read.Code, read.Stdout, read.Stderr)
		}
	}
	w.Settings["dns.client_names"] = "false"
	w.Configure()
	w.Postern("reload")
	if first, _, _ := strings.Cut(send("203.0.113.8", "turned off"), "\r\n"); first != "Received: from client.world.test ([203.0.113.8])" {
		t.Errorf("turned off: %s", first)
	}
}

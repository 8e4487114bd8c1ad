package smtpserver_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/internal/smtp/smtpserver"
)

const (
	idleSessions = 250
	idleBudget   = 40 << 10 // octets of heap and stacks for each
	idleClient   = "POSTERN_TEST_IDLE_CLIENT"
)

// TestMain lets the test binary be the clients of TestIdleSessionsAreCheap, so that only the server's memory is
// measured.
func TestMain(m *testing.M) {
	if address := os.Getenv(idleClient); address != "" {
		runIdleClients(address)
		return
	}
	os.Exit(m.Run())
}

// runIdleClients opens TLS sessions, says EHLO in each, prints a line and waits for its standard input to close.
func runIdleClients(address string) {
	var open []net.Conn
	for range idleSessions {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			panic(err)
		}
		in := bufio.NewReader(nc)
		io.WriteString(nc, "STARTTLS\r\n")
		in.ReadString('\n')
		in.ReadString('\n')
		tc := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
		io.WriteString(tc, "EHLO c.test\r\n")
		for in = bufio.NewReader(tc); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				panic(err)
			}
			if strings.HasPrefix(line, "250 ") {
				break
			}
		}
		open = append(open, tc)
	}
	os.Stdout.WriteString("ready\n")
	io.ReadAll(os.Stdin)
	runtime.KeepAlive(open)
}

func TestIdleSessionsAreCheap(t *testing.T) {
	if testing.Short() {
		t.Skip("opens many sockets")
	}
	cert := pki.New(time.Now(), "Test").Issue(pki.Options{Names: []string{"gw.test"}}).TLS
	srv, err := smtpserver.New(smtpserver.Config{
		Hostname: "gw.test", NewSession: (&recorder{}).open, TLS: &tls.Config{Certificates: []tls.Certificate{cert}},
		Gate: smtpserver.NewGate(-1, -1, nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	before := memory()
	clients := exec.Command(os.Args[0])
	clients.Env = append(os.Environ(), idleClient+"="+l.Addr().String())
	stdin, _ := clients.StdinPipe()
	stdout, _ := clients.StdoutPipe()
	if err := clients.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(line, err)
	}
	each := (memory() - before) / idleSessions
	t.Logf("%d octets for each idle TLS session", each)
	if each > idleBudget {
		t.Errorf("an idle TLS session holds %d octets, at most %d are planned", each, idleBudget)
	}
	stdin.Close()
	clients.Wait()
	srv.Shutdown(context.Background())
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// memory is what heap and stacks hold after collecting garbage; stacks shrink only then.
func memory() int {
	for range 4 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

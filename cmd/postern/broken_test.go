package main

import (
	"bufio"
	"bytes"
	"errors"
	"net/smtp"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"postern/cmd/postern/internal/cli"
)

// cappedMain is the gateway on a disk that takes no file over 2 MiB.
func cappedMain() {
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 2 << 20, Max: 2 << 20}); err != nil {
		panic(err)
	}
	main()
}

var servesAt = regexp.MustCompile(`listener=broken address=(\S+)`)

// A store that failed to make data durable accepts nothing until it is opened anew. Nobody but a new process does that,
// so the gateway must end, loudly, and not answer 451 for ever.
func TestAStoreThatBrokeEndsTheGateway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "postern.toml")
	config := "hostname = \"gw.test\"\ndata = \"data\"\nadmin.listen = \"\"\n[[listen]]\naddress = \"127.0.0.1:0\"\nname = \"broken\"\n" +
		"[relay]\nnetworks = [\"127.0.0.0/8\"]\n[[route]]\nmatch = [\"*\"]\nto = [\"127.0.0.1:9\"]\n[limits]\ndrain_time = \"1s\"\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	gateway := &exec.Cmd{Path: os.Args[0], Args: []string{"capped-postern", "serve", "--config", file}, Dir: dir, Env: os.Environ()}
	out, err := gateway.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	log, address := bytes.Buffer{}, ""
	lines := bufio.NewScanner(out)
	for address == "" && lines.Scan() {
		log.WriteString(lines.Text() + "\n")
		if m := servesAt.FindStringSubmatch(lines.Text()); m != nil {
			address = m[1]
		}
	}
	kill := time.AfterFunc(3*time.Minute, func() { gateway.Process.Kill() })
	go func() {
		body := bytes.Repeat([]byte("0123456789012345678901234567890123456789\r\n"), 1000)
		for smtp.SendMail(address, nil, "a@c.test", []string{"b@d.test"}, body) == nil {
		}
	}()
	for lines.Scan() {
		log.WriteString(lines.Text() + "\n")
	}
	err = gateway.Wait()
	var exit *exec.ExitError
	if !kill.Stop() || !errors.As(err, &exit) || exit.ExitCode() != cli.ExitFail {
		t.Errorf("the gateway ended with %v, want exit code %d by itself\n%s", err, cli.ExitFail, log.String())
	}
	if !bytes.Contains(log.Bytes(), []byte("must be reopened")) {
		t.Errorf("nothing tells why\n%s", log.String())
	}
}

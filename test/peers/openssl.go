package peers

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// OpenSSL does the TLS of a server with `openssl s_server`, whose options reach everything OpenSSL can be made to do.
// s_server speaks no SMTP, so whoever speaks SMTP in the clear hands it the connection at STARTTLS: see Upgrade.
type OpenSSL struct {
	program string
	env     []string
	dir     string
	args    []string
	next    atomic.Int64
}

// NewOpenSSL prepares an s_server with a chain (PEM, leaf first; nil for none) and further options.
func NewOpenSSL(t testing.TB, chain, key []byte, args ...string) *OpenSSL {
	t.Helper()
	o := &OpenSSL{dir: t.TempDir(), env: os.Environ(), args: append([]string{"s_server", "-quiet", "-naccept", "1"},
		args...)}
	var err error
	if o.program, err = exec.LookPath("openssl"); err != nil {
		o.program, o.env = program(t, "usr/bin/openssl"), environment(t)
	}
	o.env = append(o.env, "OPENSSL_CONF=/dev/null") // a distribution's settings must not forbid what is to be shown
	if chain == nil {
		o.args = append(o.args, "-nocert")
		return o
	}
	leaf, above := pem.Decode(chain)
	o.args = append(o.args, "-cert", o.File(t, "cert.pem", pem.EncodeToMemory(leaf)), "-key", o.File(t, "key.pem", key))
	if len(above) > 0 {
		o.args = append(o.args, "-cert_chain", o.File(t, "chain.pem", above))
	}
	return o
}

// File writes a file for an option and returns its path.
func (o *OpenSSL) File(t testing.TB, name string, content []byte) string {
	t.Helper()
	return write(t, o.dir, name, content, 0o600)
}

// With adds options.
func (o *OpenSSL) With(args ...string) *OpenSSL {
	o.args = append(o.args, args...)
	return o
}

// Upgrade starts a process for one connection, passes the connection on to it, and returns what is said inside TLS.
// Where the handshake fails that ends at once. It is for partner.Behaviour.
func (o *OpenSSL) Upgrade(raw net.Conn) (net.Conn, error) {
	socket := fmt.Sprintf("s%d", o.next.Add(1)) // s_server fails at names that are not short
	cmd := exec.Command(o.program, append(slices.Clone(o.args), "-unix", socket)...)
	cmd.Dir, cmd.Env = o.dir, o.env
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		_, _ = cmd.Process.Wait() // not cmd's own, which would close the pipes before they are read
		close(ended)
	}()
	inner, err := dialSoon(filepath.Join(o.dir, socket), ended)
	if err != nil {
		_ = cmd.Process.Kill()
		<-ended
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	c := &upgraded{Conn: raw, in: in, out: out, inner: inner, process: cmd.Process, told: make(chan struct{}),
		ended: ended}
	go splice(inner, raw)
	go func() {
		splice(raw, inner)
		close(c.told)
	}()
	return c, nil
}

// splice copies until either side ends, and ends the other.
func splice(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}

// dialSoon connects to a socket that is about to be there, unless its process ends.
func dialSoon(path string, ended <-chan struct{}) (nc net.Conn, err error) {
	for end := time.Now().Add(startTime); time.Now().Before(end); {
		if nc, err = net.Dial("unix", path); err == nil {
			return nc, nil
		}
		select {
		case <-ended:
			return nil, err
		case <-time.After(2 * time.Millisecond):
		}
	}
	return nil, err
}

// upgraded is the inside of a connection whose TLS a process does.
type upgraded struct {
	net.Conn
	in      io.WriteCloser
	out     io.ReadCloser
	inner   net.Conn
	process *os.Process
	told    chan struct{} // closed when the client has everything the process said
	ended   chan struct{} // closed when the process has ended
	once    sync.Once
}

// Read reads what the client said inside TLS.
func (u *upgraded) Read(p []byte) (int, error) { return u.out.Read(p) }

// Write says something inside TLS.
func (u *upgraded) Write(p []byte) (int, error) { return u.in.Write(p) }

// Close lets the process send what it was given, and ends it.
func (u *upgraded) Close() error {
	u.once.Do(func() {
		_ = u.in.Close()
		gone := time.AfterFunc(time.Second, func() { _ = u.process.Kill() })
		_, _ = io.Copy(io.Discard, u.out)
		<-u.ended
		gone.Stop()
		<-u.told
		_ = u.out.Close()
		_ = u.inner.Close()
		_ = u.Conn.Close()
	})
	return nil
}

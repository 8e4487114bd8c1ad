//go:build unix

package postgres

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Folder is where test/prepare.sh unpacks the programs. POSTERN_POSTGRES in the environment names another.
const Folder = "/var/cache/postern-test/postgres"

// ErrMissing: there are no programs of PostgreSQL on this machine.
var ErrMissing = errors.New("no PostgreSQL here; run test/prepare.sh postgres")

// Programs is where PostgreSQL's programs are and how they run. Use Find. Not changed afterwards; safe for concurrent
// use.
type Programs struct {
	// Folder holds initdb, postgres and the rest.
	Folder string
	// Env is the environment they run in; Libraries are folders that its LD_LIBRARY_PATH names, none where they are
	// installed.
	Env, Libraries []string
	// As is who they run as; nil: who we are.
	As *syscall.Credential
}

// Find looks for the newest programs, those that were unpacked first. The error is ErrMissing where there are none.
func Find() (p Programs, err error) {
	p.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	root := filepath.Join(cmp.Or(os.Getenv("POSTERN_POSTGRES"), Folder), "root")
	for _, below := range []string{root, "/"} {
		// the pattern is well-formed
		found, _ := filepath.Glob(filepath.Join(below, "usr/lib/postgresql/*/bin/postgres"))
		if len(found) == 0 {
			continue
		}
		p.Folder = filepath.Dir(slices.Max(found))
		if below == root {
			p.Libraries = Libraries(root)
			p.Env = append(p.Env, "LD_LIBRARY_PATH="+strings.Join(p.Libraries, ":"))
		}
		p.As, err = somebody()
		return p, err
	}
	return p, ErrMissing
}

// Libraries are the folders of libraries below a folder where packages were unpacked.
func Libraries(root string) (out []string) {
	for _, below := range []string{"usr/lib", "lib"} {
		found, _ := filepath.Glob(filepath.Join(root, below, "*-linux-gnu*")) // the pattern is well-formed
		out = append(out, found...)
	}
	return out
}

// somebody is who PostgreSQL runs as: not root.
func somebody() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, errUID := strconv.ParseUint(nobody.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(nobody.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(errUID, errGID)
}

// Dir makes a folder of whoever the programs run as, below the system's temporary one.
func (p Programs) Dir() (string, error) {
	dir, err := os.MkdirTemp("", "postern-postgres-")
	if err == nil && p.As != nil {
		err = os.Chown(dir, int(p.As.Uid), int(p.As.Gid))
	}
	return dir, err
}

// Server is a running server. Use Start. Safe for concurrent use, but for Stop, Kill and Restart.
type Server struct {
	programs Programs
	data     string
	port     int
	cmd      *exec.Cmd
}

// Start makes a cluster and starts a server on it. Settings are lines of postgresql.conf added to its own.
func Start(settings ...string) (*Server, error) {
	programs, err := Find()
	if err != nil {
		return nil, err
	}
	s := &Server{programs: programs}
	if err := s.make(settings); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// make makes the cluster.
func (s *Server) make(settings []string) (err error) {
	if s.data, err = s.programs.Dir(); err != nil {
		return err
	}
	cluster := filepath.Join(s.data, "cluster")
	if err := s.run("initdb", "-D", cluster, "-U", "postern", "-A", "trust", "-E", "UTF8", "--locale=C",
		"--no-sync"); err != nil {
		return err
	}
	if s.port, err = FreePort(); err != nil {
		return err
	}
	conf, err := os.OpenFile(filepath.Join(cluster, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	lines := append([]string{"listen_addresses = '127.0.0.1'", fmt.Sprintf("port = %d", s.port),
		"unix_socket_directories = '" + s.data + "'",
		"max_connections = 100", "shared_buffers = 64MB", "max_wal_size = 1GB", "logging_collector = off",
		"log_min_messages = panic"}, settings...)
	_, err = conf.WriteString(strings.Join(lines, "\n") + "\n")
	return errors.Join(err, conf.Close())
}

// FreePort finds a port of 127.0.0.1 that nobody has, and that no connection is given: those come from 32768 on.
func FreePort() (port int, err error) {
	for range 100 {
		port = 20000 + rand.IntN(12000)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.programs.Folder, name), args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.data, s.programs.Env,
		&syscall.SysProcAttr{Setpgid: true, Credential: s.programs.As}
	return cmd
}

func (s *Server) run(name string, args ...string) error {
	if out, err := s.command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// startTime is how long the server may take until it answers, on a busy machine.
const startTime = 30 * time.Second

// Restart starts the server again on its cluster, after Kill.
func (s *Server) Restart() error {
	s.cmd = s.command("postgres", "-D", filepath.Join(s.data, "cluster"))
	s.cmd.Stdout, s.cmd.Stderr = os.Stderr, os.Stderr
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return err
	}
	for end := time.Now().Add(startTime); ; time.Sleep(20 * time.Millisecond) {
		if err := s.run("pg_isready", "-q", "-h", s.data, "-p", strconv.Itoa(s.port), "-U", "postern", "-d",
			"postgres"); err == nil {
			return nil
		} else if time.Now().After(end) {
			return fmt.Errorf("the server does not answer: %w", err)
		}
	}
}

// Kill ends the server at once, as a crash would.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(with syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	defer func() { s.cmd = nil }()
	if err := s.cmd.Process.Signal(with); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = s.cmd.Wait() // how it ended does not matter
	return nil
}

// Stop ends the server and removes its cluster.
func (s *Server) Stop() error {
	err := s.end(syscall.SIGINT) // fast: it does not wait for clients
	if s.data == "" {
		return err
	}
	return errors.Join(err, os.RemoveAll(s.data))
}

// URL is the address of the database "postgres" on the server, for its owner.
func (s *Server) URL() string {
	return fmt.Sprintf("postgres://postern@%s/postgres?sslmode=disable", s.Address())
}

// Local is the same by the socket in its folder, for programs that may read that.
func (s *Server) Local() string {
	return fmt.Sprintf("postgres://postern@/postgres?host=%s&port=%d", url.QueryEscape(s.data), s.port)
}

// Data is the folder of its cluster, for tests that take the disk away under it.
func (s *Server) Data() string { return filepath.Join(s.data, "cluster") }

// Give makes a file or a folder the server's own.
func (s *Server) Give(path string) error {
	if s.programs.As == nil {
		return nil
	}
	return os.Chown(path, int(s.programs.As.Uid), int(s.programs.As.Gid))
}

// Address is where the server listens.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

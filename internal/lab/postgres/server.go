//go:build unix

package postgres

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
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

// Server is a running server. Use Start. Safe for concurrent use, but for Stop, Kill and Restart.
type Server struct {
	programs, data string
	port           int
	as             *syscall.Credential // nil: who we are
	env            []string
	cmd            *exec.Cmd
}

// Start makes a cluster and starts a server on it. Settings are lines of postgresql.conf added to its own.
func Start(settings ...string) (*Server, error) {
	s := &Server{env: append(os.Environ(), "LC_ALL=C", "TZ=UTC")}
	if err := s.find(); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			return nil, err
		}
		uid, errUID := strconv.ParseUint(nobody.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(nobody.Gid, 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return nil, err
		}
		s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	if err := s.make(settings); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// find looks for the newest programs, those that were unpacked first.
func (s *Server) find() error {
	root := filepath.Join(cmp.Or(os.Getenv("POSTERN_POSTGRES"), Folder), "root")
	for _, below := range []string{root, "/"} {
		found, _ := filepath.Glob(filepath.Join(below, "usr/lib/postgresql/*/bin/postgres")) // the pattern is well-formed
		if len(found) == 0 {
			continue
		}
		s.programs = filepath.Dir(slices.Max(found))
		if below == root {
			libraries, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
			s.env = append(s.env, "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
		}
		return nil
	}
	return ErrMissing
}

// make makes the cluster.
func (s *Server) make(settings []string) (err error) {
	if s.data, err = os.MkdirTemp("", "postern-postgres-"); err != nil {
		return err
	}
	if s.as != nil {
		if err := os.Chown(s.data, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return err
		}
	}
	cluster := filepath.Join(s.data, "cluster")
	if err := s.run("initdb", "-D", cluster, "-U", "postern", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return err
	}
	conf, err := os.OpenFile(filepath.Join(cluster, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	lines := append([]string{"listen_addresses = '127.0.0.1'", fmt.Sprintf("port = %d", s.port), "unix_socket_directories = '" + s.data + "'",
		"max_connections = 100", "shared_buffers = 64MB", "max_wal_size = 1GB", "logging_collector = off", "log_min_messages = panic"}, settings...)
	_, err = conf.WriteString(strings.Join(lines, "\n") + "\n")
	return errors.Join(err, conf.Close())
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.programs, name), args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.data, s.env, &syscall.SysProcAttr{Setpgid: true, Credential: s.as}
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
		if err := s.run("pg_isready", "-q", "-h", s.data, "-p", strconv.Itoa(s.port), "-U", "postern", "-d", "postgres"); err == nil {
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

// Address is where the server listens.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

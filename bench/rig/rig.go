// Package rig runs the servers under test, each in the best form its own documentation knows (tuning.go), and measures
// what they use. Every server lives below a keeper, a small process of this program that adopts whatever the server
// leaves behind (keep.go); a keeper ends with its standard input, so nothing outlives the run, however it ends.
package rig

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"postern/bench/measure"
)

// startTime is how long a server may take until it answers.
const startTime = 60 * time.Second

// Server is a running server.
type Server struct {
	Spec Spec
	// Tree is everything it consists of.
	Tree measure.Tree
	// Started is how long it took from its start until it greeted.
	Started time.Duration

	keeper *exec.Cmd
	stdin  io.Closer
}

// Start runs a server and returns when it answers.
func Start(ctx context.Context, s Spec) (*Server, error) {
	keeper := exec.Command(s.Bench, "keep")
	keeper.Stderr = os.Stderr
	keeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the terminal is ours alone
	stdin, err := keeper.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := keeper.StdoutPipe()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := keeper.Start(); err != nil {
		return nil, err
	}
	server := &Server{Spec: s, Tree: measure.Tree(keeper.Process.Pid), keeper: keeper, stdin: stdin}
	defer context.AfterFunc(ctx, func() { stdin.Close() })()
	err = json.NewEncoder(stdin).Encode(s)
	line := ""
	if err == nil {
		line, err = bufio.NewReader(stdout).ReadString('\n')
	}
	if line = strings.TrimSpace(line); err == nil && line != ready {
		err = errors.New(line)
	}
	if err != nil {
		server.Stop()
		return nil, err
	}
	server.Started = time.Since(start)
	return server, nil
}

// Address is where it takes mail.
func (s *Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.Spec.Port) }

// Stop ends the server with everything it consists of.
func (s *Server) Stop() {
	s.stdin.Close()
	_ = s.keeper.Wait() // it ended as it was told to
}

// Quiet waits until the server does nothing any more, at most for limit, and returns the processor time it has used by
// then. A server that has sent on the last message may still have its books to close, and that is part of the work.
func (s *Server) Quiet(ctx context.Context, limit time.Duration) time.Duration {
	const pause = 250 * time.Millisecond
	now := s.Tree.CPU()
	for end := time.Now().Add(limit); time.Now().Before(end) && ctx.Err() == nil; {
		time.Sleep(pause)
		before := now
		if now = s.Tree.CPU(); now-before <= 10*time.Millisecond {
			break
		}
	}
	return now
}

// FreePort returns a TCP port of 127.0.0.1 that nothing uses at the moment.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// greets waits until somebody greets at a port.
func greets(ctx context.Context, port int) error {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for {
		err := greeting(address)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func greeting(address string) error {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second)) // fails on a closed connection only, and so does the read
	first := make([]byte, 3)
	if _, err := io.ReadFull(conn, first); err != nil {
		return err
	}
	if string(first) != "220" {
		return fmt.Errorf("the greeting is %q", first)
	}
	fmt.Fprint(conn, "QUIT\r\n")
	return nil
}

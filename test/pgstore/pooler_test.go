//go:build unix

package pgstore

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"postern/internal/lab/postgres"
	"postern/internal/queue"
	store "postern/internal/queue/pgstore"
	engine "postern/internal/queue/postgres"
)

// pooled is where test/prepare.sh unpacks PgBouncer.
const pooled = "/var/cache/postern-test/pooler/root"

// bouncer starts a PgBouncer before a server and returns the address through it. Where there is none the test skips,
// and fails with CI set.
func bouncer(t *testing.T, server *postgres.Server, mode string) string {
	t.Helper()
	programs, err := postgres.Find()
	if err != nil {
		t.Fatal(err)
	}
	root := pooled
	if _, err := os.Stat(root); err != nil {
		root = "/"
	}
	program := filepath.Join(root, "usr/sbin/pgbouncer")
	if _, err := os.Stat(program); err != nil && os.Getenv("CI") == "" {
		t.Skip("no PgBouncer here; run test/prepare.sh postgres")
	}
	dir, err := programs.Dir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	free, err := postgres.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", free)
	host, port, _ := strings.Cut(server.Address(), ":")
	file := filepath.Join(dir, "ini")
	err = os.WriteFile(file, fmt.Appendf(nil, "[databases]\npostgres = user=postern host=%s port=%s\n[pgbouncer]\n"+
		"listen_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\nauth_type = any\npool_mode = %s\n"+
		"default_pool_size = 30\n", host, port, free, mode), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-q", file)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(postgres.Libraries(root), ":"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: programs.As}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	soon(t, "the pooler listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return fmt.Sprintf("postgres://postern@%s/postgres?sslmode=disable", address)
}

// TestPooler: one that keeps sessions serves as well as the server itself. Any other is refused at the start, before a
// table is made, also where somebody else uses it.
func TestPooler(t *testing.T) {
	server := alone(t)
	for _, mode := range []string{"session", "transaction", "statement"} {
		t.Run(mode, func(t *testing.T) {
			cfg := store.Config{URL: bouncer(t, server, mode), Schema: mode}
			if mode != "session" {
				if _, err := store.Examine(t.Context(), cfg); !errors.Is(err, engine.ErrPooled) {
					t.Errorf("examined: %v", err)
				}
				if s, err := store.Open(t.Context(), cfg); !errors.Is(err, engine.ErrPooled) {
					t.Errorf("opened: %v, %v", s, err)
				}
				return
			}
			for n := range 2 {
				s := open(t, cfg)
				if err := s.Accept(t.Context(), submission(t, s, n, make([]byte, 300_000))); err != nil {
					t.Fatal(err)
				}
				if err := settle(s, queue.Delivered, claim(t, s, 1)...); err != nil {
					t.Error(err)
				}
				if _, err := store.Examine(t.Context(), cfg); err != nil {
					t.Error(err)
				}
				s.Close()
			}
		})
	}
}

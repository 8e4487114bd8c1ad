package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/lab/postgres"
	"postern/test/harness"
)

// unpacked is where test/prepare.sh cluster puts Patroni and etcd.
const unpacked = "/var/cache/postern-test/cluster/root"

// pair is two PostgreSQL servers that Patroni keeps in synchronous mode, each with a Patroni of its own, and one etcd
// where they agree who is the primary.
type pair struct {
	t        *testing.T
	programs postgres.Programs
	env      []string // of Patroni and etcd
	dir      string
	python   string
	etcd     int // its port
	members  []*member
	log      *os.File
}

// member is one server with its Patroni.
type member struct {
	name      string
	port, api int
	patroni   *exec.Cmd
}

// startPair starts all of it and waits until it is whole. Where something is not on this machine the test skips, and
// fails with CI set.
func startPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t}
	var err error
	if p.programs, err = postgres.Find(); err == nil {
		_, err = os.Stat(filepath.Join(unpacked, "usr/bin/patroni"))
	}
	missing := errors.Is(err, postgres.ErrMissing) || errors.Is(err, os.ErrNotExist)
	if missing && os.Getenv("CI") == "" {
		t.Skip("no Patroni and etcd here; run test/prepare.sh postgres and test/prepare.sh cluster")
	}
	if err == nil {
		p.dir, err = p.programs.Dir()
	}
	if err == nil {
		p.log, err = os.Create(filepath.Join(p.dir, "log"))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	libraries := append(postgres.Libraries(unpacked), p.programs.Libraries...)
	p.env = append(p.programs.Env, "PYTHONPATH="+filepath.Join(unpacked, "usr/lib/python3/dist-packages")+":/usr/lib/python3/dist-packages",
		"PYTHONDONTWRITEBYTECODE=1", "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	if p.python = filepath.Join(unpacked, "usr/bin/python3"); !there(p.python) {
		p.python = "/usr/bin/python3"
	}
	p.etcd = freePort(t)
	client, peer := fmt.Sprint("http://127.0.0.1:", p.etcd), fmt.Sprint("http://127.0.0.1:", freePort(t))
	etcd := p.launch(filepath.Join(unpacked, "usr/bin/etcd"), "--data-dir", filepath.Join(p.dir, "etcd"),
		"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--unsafe-no-fsync")
	t.Cleanup(func() { kill(etcd) })
	for _, name := range []string{"pg1", "pg2"} {
		m := &member{name: name, port: freePort(t), api: freePort(t)}
		p.members = append(p.members, m)
		p.write(m)
	}
	for _, m := range p.members {
		p.start(m)
	}
	p.whole()
	return p
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := postgres.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// url is the address of the database, wherever it is just now.
func (p *pair) url() string {
	return fmt.Sprintf("postgres://postern@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&target_session_attrs=read-write",
		p.members[0].port, p.members[1].port)
}

// launch starts a program as whoever PostgreSQL runs as.
func (p *pair) launch(name string, args ...string) *exec.Cmd {
	p.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, p.env, p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.programs.As}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	return cmd
}

func (p *pair) start(m *member) {
	m.patroni = p.launch(p.python, "-m", "patroni", filepath.Join(p.dir, m.name+".yml"))
}

// write writes the configuration of a Patroni. Its times are as short as it bears.
func (p *pair) write(m *member) {
	p.t.Helper()
	text := fmt.Sprintf(`
scope: postern
name: %[1]s
restapi: {listen: "127.0.0.1:%[3]d", connect_address: "127.0.0.1:%[3]d"}
etcd3: {host: "127.0.0.1:%[4]d"}
bootstrap:
  dcs:
    ttl: 5
    loop_wait: 1
    retry_timeout: 2
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters: {max_connections: 100, shared_buffers: 64MB, wal_log_hints: "on", logging_collector: "off", log_min_messages: panic,
        recovery_init_sync_method: syncfs}
  initdb: [encoding: UTF8, locale: C, auth: trust, no-sync]
  pg_hba: ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
postgresql:
  listen: "127.0.0.1:%[2]d"
  connect_address: "127.0.0.1:%[2]d"
  data_dir: %[5]s/%[1]s
  bin_dir: %[6]s
  basebackup: [no-sync, {checkpoint: fast}]
  pgpass: %[5]s/%[1]s.pgpass
  authentication:
    superuser: {username: postern, password: unused}
    replication: {username: replicator, password: unused}
  parameters: {unix_socket_directories: %[5]s}
watchdog: {mode: "off"}
`, m.name, m.port, m.api, p.etcd, p.dir, p.programs.Folder)
	path := filepath.Join(p.dir, m.name+".yml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// state is how many servers run as what, as the Patroni of the first that answers tells, and who is the primary.
func (p *pair) state() (roles map[string]int, primary *member) {
	for _, asked := range p.members {
		client := http.Client{Timeout: time.Second}
		reply, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/cluster", asked.api))
		if err != nil {
			continue
		}
		var told struct {
			Members []struct{ Name, Role, State string }
		}
		err = json.NewDecoder(reply.Body).Decode(&told)
		reply.Body.Close()
		if err != nil {
			continue
		}
		roles = map[string]int{}
		for _, m := range told.Members {
			if m.State != "running" && m.State != "streaming" {
				continue
			}
			roles[m.Role]++
			for _, ours := range p.members {
				if m.Role == "leader" && m.Name == ours.name {
					primary = ours
				}
			}
		}
		return roles, primary
	}
	return nil, nil
}

// whole waits until there are a primary and a synchronous standby, and returns the primary.
func (p *pair) whole() (primary *member) {
	p.t.Helper()
	harness.Eventually(p.t, 4*harness.Patience, "there are a primary and a synchronous standby", func() bool {
		var roles map[string]int
		roles, primary = p.state()
		return primary != nil && roles["sync_standby"] == 1
	})
	return primary
}

// crash ends a server and its Patroni as the end of their machine would.
func (p *pair) crash(m *member) {
	kill(m.patroni)
	text, err := os.ReadFile(filepath.Join(p.dir, m.name, "postmaster.pid"))
	if err != nil {
		return // it does not run
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid <= 1 {
		return
	}
	family := append(childrenOf(pid), pid)
	for _, one := range family {
		_ = syscall.Kill(one, syscall.SIGKILL) // it may have ended
	}
	for end := time.Now().Add(harness.Patience); syscall.Kill(pid, 0) == nil && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}

// childrenOf are the processes that a process started.
func childrenOf(pid int) (out []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), ") ") // after the name
		words := strings.Fields(rest)
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err == nil && len(words) > 1 && words[1] == strconv.Itoa(pid) {
			out = append(out, child)
		}
	}
	return out
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()         // how does not matter
}

// end ends everything and removes it.
func (p *pair) end() {
	for _, m := range p.members {
		if m.patroni != nil {
			p.crash(m)
		}
	}
	if p.t.Failed() {
		text, _ := os.ReadFile(p.log.Name()) // what there is of it
		p.t.Logf("Patroni and etcd said:\n%s", text[max(0, len(text)-8000):])
	}
	_ = p.log.Close() // nobody writes it any more
	if err := os.RemoveAll(p.dir); err != nil {
		p.t.Error(err)
	}
}

// TestPatroniPutsAnotherPrimaryInPlaceAndMailFlows: the primary is killed under load, again and again. Nothing that was
// answered 250 is lost, and mail flows again without a person.
// It has the machine for itself: how soon all is well again is part of what it asks.
func TestPatroniPutsAnotherPrimaryInPlaceAndMailFlows(t *testing.T) {
	if os.Getenv("POSTERN_FAILOVER") == "" && !long() {
		t.Skip("make failover runs it (POSTERN_FAILOVER=1)")
	}
	p := startPair(t)
	c := gateways(t, 2, p.url())
	c.start(town(c))
	l := startLoad(c, 150*time.Millisecond)
	l.works(t)
	const kills = 10
	var down *member
	for range kills {
		if down != nil {
			p.start(down)
		}
		primary := p.whole()
		began := time.Now()
		p.crash(primary)
		l.works(t)
		t.Logf("%s was killed, and both gateways accepted mail after %v", primary.name, time.Since(began))
		down = primary
	}
	l.stop()
	l.tell(t, c, 20*kills)
}

package endurance

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// A sink that is slower than the source holds up nothing but itself: mail is taken all the while, waits on disk, and
// costs no memory.
func TestASlowSinkCostsNoMemory(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	s.delay.Store(int64(200 * time.Millisecond)) // 25 messages a second over five connections
	g := newGateway(t, s.addr())
	g.settings["limits.connections_per_client"] = "1000"
	g.settings["limits.content_memory"] = "8388608"
	g.settings["queue.memory"] = "8388608"
	g.start()
	load := begin(g.addr, 8, 20, strings.Repeat(strings.Repeat("x", 76)+"\r\n", 400))
	time.Sleep(time.Second)
	began, first := g.resident(), load.count()
	time.Sleep(either(4*time.Second, time.Hour))
	resident := g.resident()
	accepted, errs := load.end()
	taken, _ := s.taken()
	t.Logf("%d messages of 31 KB taken, %d sent on; resident %d MiB, %d MiB more than after the first second",
		len(accepted), taken, resident>>20, (resident-began)>>20)
	if len(errs) > 0 {
		t.Errorf("a message was refused: %v", errs[0])
	}
	if len(accepted) < first+20 || taken >= len(accepted)/2 && !long() {
		t.Errorf("the sink is not slower than the source: %d of %d", taken, len(accepted))
	}
	if resident > 192<<20 || resident > began+32<<20 {
		t.Errorf("%d MiB are resident, and were %d", resident>>20, began>>20)
	}
	s.delay.Store(0)
	s.arrived(t, accepted, either(patience, time.Hour), 0)
}

// A disk that fills up under load: clients hear 4xx, what was acknowledged is kept, and mail flows again when there is
// room.
func TestADiskThatFillsUpUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	s := newSink(t)
	g := newGateway(t, s.addr())
	g.settings["limits.connections_per_client"] = "1000"
	if err := os.Mkdir(g.path("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", g.path("data"), "tmpfs", 0, "size=48m,mode=0700"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(g.path("data"), syscall.MNT_DETACH) })
	g.start()
	load := begin(g.addr, 6, 10, strings.Repeat(strings.Repeat("x", 76)+"\r\n", 400))
	eventually(t, patience, "mail flows", func() bool { return load.count() > 20 })
	ballast, err := os.Create(g.path("data/ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer ballast.Close()
	for block := make([]byte, 64<<10); ; {
		if _, err := ballast.Write(block); err != nil {
			break // full
		}
	}
	time.Sleep(either(3*time.Second, 10*time.Minute))
	if !g.running() {
		t.Fatal("the gateway ended")
	}
	full := load.count()
	if err := os.Remove(g.path("data/ballast")); err != nil {
		t.Fatal(err)
	}
	ballast.Close()
	eventually(t, patience, "mail flows again", func() bool { return load.count() > full+20 })
	accepted, errs := load.end()
	refused := 0
	for _, err := range errs {
		switch text := err.Error(); {
		case strings.Contains(text, "452"), strings.Contains(text, "451"):
			refused++
		default:
			t.Errorf("a client heard %v", err)
		}
	}
	if refused == 0 {
		t.Error("nothing was refused: the disk was not full")
	}
	t.Logf("%d messages taken, %d refused", len(accepted), refused)
	s.arrived(t, accepted, 2*patience, 5)
}

// limitFiles limits the file descriptors of a running process.
func limitFiles(pid int, n uint64) error {
	limit := syscall.Rlimit{Cur: n, Max: n}
	_, _, errno := syscall.Syscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_NOFILE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Without file descriptors, under load: the gateway goes on, what was acknowledged is kept, and mail flows again when
// there are some.
func TestNoFileDescriptorsUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	g := newGateway(t, s.addr())
	g.settings["limits.connections_per_client"] = "1000"
	g.start()
	load := begin(g.addr, 6, 10, strings.Repeat(strings.Repeat("x", 76)+"\r\n", 1500)) // large enough for files of their own
	eventually(t, patience, "mail flows", func() bool { return load.count() > 10 })
	if err := limitFiles(g.cmd.Process.Pid, 64); err != nil {
		t.Skipf("cannot limit the process: %v", err)
	}
	var crowd []net.Conn
	for range 200 {
		if nc, err := net.DialTimeout("tcp", g.addr, time.Second); err == nil {
			crowd = append(crowd, nc)
		}
	}
	time.Sleep(either(2*time.Second, 10*time.Minute))
	if !g.running() {
		t.Fatal("the gateway ended")
	}
	for _, nc := range crowd {
		nc.Close()
	}
	stuck := load.count()
	eventually(t, patience, "mail flows again", func() bool { return load.count() > stuck+10 })
	accepted, errs := load.end()
	t.Logf("%d messages taken, %d sessions failed", len(accepted), len(errs))
	s.arrived(t, accepted, 2*patience, 5)
	if !strings.Contains(g.log(), "too many open files") {
		t.Error("the descriptors were never out")
	}
}

// Clients that are slow at any stage hold their place for a bounded time, and an honest client is served meanwhile.
func TestSlowClientsAtEveryStageAreCut(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	g := newGateway(t, s.addr())
	for key, value := range map[string]string{
		"command_timeout": `"2s"`, "handshake_timeout": `"2s"`, "data_timeout": `"2s"`, "session_time": `"4s"`, "transaction_time": `"5s"`, "data_rate": "100000",
	} {
		g.settings["limits."+key] = value
	}
	g.start()
	begun := "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<bob@shop.test>\r\n"
	drip := func(nc net.Conn, piece string) {
		for range 600 {
			if _, err := nc.Write([]byte(piece)); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	type slow struct {
		name, first, piece string
		nc                 net.Conn
		began              time.Time
	}
	var crowd []*slow
	for _, c := range []slow{
		{name: "says nothing"}, {name: "half a command", first: "EHL"}, {name: "a dripping command", piece: "x"},
		{name: "idle after EHLO", first: "EHLO c.test\r\n"}, {name: "NOOPs for ever", piece: "NOOP\r\n"},
		{name: "no ClientHello", first: "STARTTLS\r\n"}, {name: "half a ClientHello", first: "STARTTLS\r\n", piece: "\x16"},
		{name: "idle after MAIL", first: "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\n"}, {name: "idle after RCPT", first: begun},
		{name: "dripping recipients", first: begun, piece: "RCPT TO:<bob@shop.test>\r\n"},
		{name: "no content", first: begun + "DATA\r\n"}, {name: "dripping content", first: begun + "DATA\r\n", piece: "x\r\n"},
		{name: "half a dot", first: begun + "DATA\r\nx\r\n."}, {name: "half a chunk", first: begun + "BDAT 1000 LAST\r\nx"},
		{name: "dripping chunks", first: begun, piece: "BDAT 1\r\nx"}, {name: "dripping in a chunk", first: begun + "BDAT 100000 LAST\r\n", piece: "x"},
	} {
		nc, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		c.nc, c.began = nc, time.Now()
		fmt.Fprint(nc, c.first)
		if c.piece != "" {
			go drip(nc, c.piece)
		}
		crowd = append(crowd, &c)
	}
	if err := g.send("honest.", "x", "bob@shop.test"); err != nil {
		t.Error(err)
	}
	s.arrived(t, []string{"honest."}, patience, 0)
	for _, c := range crowd {
		_ = c.nc.SetReadDeadline(time.Now().Add(patience)) // shows at the read
		if err := drain(c.nc); err != nil {
			t.Errorf("%s: still open after %v: %v", c.name, time.Since(c.began), err)
		}
	}
	if took := time.Since(crowd[0].began); took > 20*time.Second {
		t.Errorf("the last was cut after %v", took)
	}
	if different, _ := s.taken(); different != 1 {
		t.Errorf("%d messages arrived, one was sent", different)
	}
}

// drain reads until the other side has closed; an error says that it has not.
func drain(nc net.Conn) error {
	buf := make([]byte, 4096)
	for {
		if _, err := nc.Read(buf); err != nil {
			if os.IsTimeout(err) {
				return err
			}
			return nil
		}
	}
}

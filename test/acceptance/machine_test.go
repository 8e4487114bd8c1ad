package acceptance

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/test/harness"
)

func TestAMessageThatDoesNotArriveWholeIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Start("")
	begin := func(secure bool) *harness.Client {
		c := w.Connect("")
		c.Say("EHLO mail.home.test", "250")
		if secure {
			c.StartTLS(nil)
			c.Say("EHLO mail.home.test", "250")
		}
		c.Say("MAIL FROM:<anna@home.test>", "250")
		c.Say("RCPT TO:<anna@home.test>", "250")
		return c
	}
	for _, secure := range []bool{false, true} {
		c := begin(secure)
		c.Say("DATA", "354")
		c.Raw("Subject: half\r\n\r\nhalf\r\n")
		raw := c.Conn
		if s, ok := raw.(interface{ NetConn() net.Conn }); ok {
			raw = s.NetConn()
		}
		_ = raw.(*net.TCPConn).SetLinger(0) // a reset; without it the end of the stream
		raw.Close()

		c = begin(secure)
		c.Raw("BDAT 20 LAST\r\nhalf of it") // and then silence
	}
	c := begin(false)
	c.Say("DATA", "354")
	c.Raw("Subject: half\r\n\r\nhalf\r\n.") // the dot, but not its line end
	c.Conn.Close()
	time.Sleep(500 * time.Millisecond)
	if got := w.Traces("trace"); len(got) != 0 {
		t.Errorf("half a message is in the queue: %s", got[0].Raw)
	}
}

func TestAFullDiskRefusesMailAndRecovers(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	w := newWorld(t)
	data := filepath.Join(w.Dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=24m,mode=0700"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(data, syscall.MNT_DETACH) })
	w.Start("")
	w.Send("anna@home.test", "before", "anna@home.test")
	ballast := filepath.Join(data, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 18<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	c := w.Connect("")
	c.Say("EHLO mail.home.test", "250")
	c.Say("MAIL FROM:<anna@home.test>", "250")
	c.Say("RCPT TO:<anna@home.test>", "250")
	c.Say("DATA", "354")
	c.Raw("Subject: too much\r\n\r\n" + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 12_000))
	reply := c.Say(".", "45")
	if !strings.HasPrefix(reply, "452 4.3.1") && !strings.HasPrefix(reply, "451 4.3.0") {
		t.Errorf("reply %q", reply)
	}
	c.Say("NOOP", "250")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	c.Transaction("anna@home.test", []string{"anna@home.test"}, "Subject: after\r\n\r\nafter\r\n")
	harness.Eventually(t, harness.Patience, "mail flows again", func() bool { return len(harness.Bodies(w.Home(), "Subject: after")) == 1 })
	if n := len(harness.Bodies(w.Home(), "Subject: too much")); n != 0 {
		t.Errorf("what was refused was delivered %d times", n)
	}
	if size := w.dataSize(); size > 8<<20 {
		t.Errorf("%d MiB are left behind", size>>20)
	}
}

// dataSize is what the gateway's folder holds.
func (w *world) dataSize() (size int64) {
	w.T.Helper()
	err := filepath.WalkDir(filepath.Join(w.Dir, "data"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil && !d.IsDir() { // it may be gone by now
			size += info.Size()
		}
		return nil
	})
	if err != nil {
		w.T.Fatal(err)
	}
	return size
}

func TestAPowerCutInALargeMessageLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Start("")
	c := w.Connect("")
	c.Say("EHLO mail.home.test", "250")
	c.Say("MAIL FROM:<anna@home.test>", "250")
	c.Say("RCPT TO:<anna@home.test>", "250")
	c.Say("DATA", "354")
	c.Raw("Subject: cut\r\n\r\n" + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 20_000))
	harness.Eventually(t, harness.Patience, "it is being stored", func() bool { return w.dataSize() > 15<<20 })
	w.Kill()
	w.Write("data/foreign.txt", []byte("not ours"))
	w.Serve()
	if size := w.dataSize(); size > 8<<20 {
		t.Errorf("%d MiB are left behind", size>>20)
	}
	if got := w.Traces("trace"); len(got) != 0 {
		t.Errorf("a message that was never answered 250: %s", got[0].Raw)
	}
	w.Send("anna@home.test", "after the cut", "anna@home.test")
	w.Await("anna@home.test", harness.In("delivered"))
}

func TestTheDataFolderIsForTheGatewaysUserOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	data := filepath.Join(w.Dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	w.Start("")
	info, err := os.Stat(data)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data folder is %v, %v", info.Mode(), err)
	}
}

func TestFewFileDescriptorsSlowTheGatewayDownAndDoNotEndIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["limits.connections"], w.Settings["limits.connections_per_client"] = "500", "500"
	w.Start("")
	var few syscall.Rlimit
	few.Cur, few.Max = 64, 64
	if err := prlimit(w.Process.Cmd.Process.Pid, &few); err != nil {
		t.Skipf("cannot limit the process: %v", err)
	}
	var crowd []net.Conn
	defer func() {
		for _, c := range crowd {
			c.Close()
		}
	}()
	for range 120 {
		c, err := net.DialTimeout("tcp", w.Addr, time.Second)
		if err != nil {
			break
		}
		crowd = append(crowd, c)
	}
	time.Sleep(time.Second)
	select {
	case <-w.Process.Ended:
		t.Fatal("the gateway ended")
	default:
	}
	for _, c := range crowd {
		c.Close()
	}
	harness.Eventually(t, harness.Patience, "it serves again", func() bool {
		c, err := net.DialTimeout("tcp", w.Addr, time.Second)
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		greeting := make([]byte, 4)
		n, _ := c.Read(greeting)
		return string(greeting[:n]) == "220 "
	})
	w.Send("anna@home.test", "after the flood", "anna@home.test")
	w.Await("anna@home.test", harness.In("delivered"))
}

func TestFourLargestMessagesAtOnceNeedLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("600 MB")
	}
	w := newWorld(t)
	p := &sink{}
	p.listen(t, w)
	w.Start("")
	before, peak := w.memory(), int64(0)
	done := make(chan error, 4)
	for i := range 4 {
		c := w.Connect("")
		c.Say("EHLO mail.home.test", "250")
		c.Say("MAIL FROM:<anna@home.test>", "250")
		c.Say(fmt.Sprintf("RCPT TO:<a%d@big.test>", i), "250")
		c.Say("DATA", "354")
		go func() {
			chunk := []byte(strings.Repeat(strings.Repeat("z", 998)+"\r\n", 100))
			_, err := c.Conn.Write([]byte("Subject: big\r\n\r\n"))
			for n := 0; n < 1499 && err == nil; n++ {
				_, err = c.Conn.Write(chunk)
			}
			if err == nil {
				_, err = c.Conn.Write([]byte(".\r\n"))
			}
			if reply := c.Read(); err == nil && !strings.HasPrefix(reply, "250") {
				err = fmt.Errorf("reply %q", reply)
			}
			done <- err
		}()
	}
	for left := 4; left > 0; {
		select {
		case err := <-done:
			if left--; err != nil {
				t.Error(err)
			}
		case <-time.After(50 * time.Millisecond):
			peak = max(peak, w.memory())
		}
	}
	harness.Eventually(t, 3*harness.Patience, "all go on", func() bool {
		peak = max(peak, w.memory())
		return p.messages.Load() == 4
	})
	t.Logf("memory grew by %d MiB", (peak-before)>>20)
	if grown := peak - before; grown > 16<<20 { // at most a MiB each, and what the collector has not come to
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

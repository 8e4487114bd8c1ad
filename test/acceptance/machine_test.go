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
)

func TestAMessageThatDoesNotArriveWholeIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("")
	begin := func(secure bool) *client {
		c := w.connect("")
		c.say("EHLO mail.home.test", "250")
		if secure {
			c.startTLS(nil)
			c.say("EHLO mail.home.test", "250")
		}
		c.say("MAIL FROM:<anna@home.test>", "250")
		c.say("RCPT TO:<anna@home.test>", "250")
		return c
	}
	for _, secure := range []bool{false, true} {
		c := begin(secure)
		c.say("DATA", "354")
		c.raw("Subject: half\r\n\r\nhalf\r\n")
		raw := c.conn
		if s, ok := raw.(interface{ NetConn() net.Conn }); ok {
			raw = s.NetConn()
		}
		_ = raw.(*net.TCPConn).SetLinger(0) // a reset; without it the end of the stream
		raw.Close()

		c = begin(secure)
		c.raw("BDAT 20 LAST\r\nhalf of it") // and then silence
	}
	c := begin(false)
	c.say("DATA", "354")
	c.raw("Subject: half\r\n\r\nhalf\r\n.") // the dot, but not its line end
	c.conn.Close()
	time.Sleep(500 * time.Millisecond)
	if got := w.traces("trace"); len(got) != 0 {
		t.Errorf("half a message is in the queue: %s", got[0].raw)
	}
}

func TestAFullDiskRefusesMailAndRecovers(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	w := newWorld(t)
	data := filepath.Join(w.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=24m,mode=0700"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(data, syscall.MNT_DETACH) })
	w.start("")
	w.send("anna@home.test", "before", "anna@home.test")
	ballast := filepath.Join(data, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 18<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	c := w.connect("")
	c.say("EHLO mail.home.test", "250")
	c.say("MAIL FROM:<anna@home.test>", "250")
	c.say("RCPT TO:<anna@home.test>", "250")
	c.say("DATA", "354")
	c.raw("Subject: too much\r\n\r\n" + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 12_000))
	reply := c.say(".", "45")
	if !strings.HasPrefix(reply, "452 4.3.1") && !strings.HasPrefix(reply, "451 4.3.0") {
		t.Errorf("reply %q", reply)
	}
	c.say("NOOP", "250")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	c.transaction("anna@home.test", []string{"anna@home.test"}, "Subject: after\r\n\r\nafter\r\n")
	eventually(t, patience, "mail flows again", func() bool { return len(bodies(w.home(), "Subject: after")) == 1 })
	if n := len(bodies(w.home(), "Subject: too much")); n != 0 {
		t.Errorf("what was refused was delivered %d times", n)
	}
	if size := w.dataSize(); size > 8<<20 {
		t.Errorf("%d MiB are left behind", size>>20)
	}
}

// dataSize is what the gateway's folder holds.
func (w *world) dataSize() (size int64) {
	w.t.Helper()
	err := filepath.WalkDir(filepath.Join(w.dir, "data"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err == nil && !d.IsDir() { // it may be gone by now
			size += info.Size()
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return size
}

func TestAPowerCutInALargeMessageLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("")
	c := w.connect("")
	c.say("EHLO mail.home.test", "250")
	c.say("MAIL FROM:<anna@home.test>", "250")
	c.say("RCPT TO:<anna@home.test>", "250")
	c.say("DATA", "354")
	c.raw("Subject: cut\r\n\r\n" + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 20_000))
	eventually(t, patience, "it is being stored", func() bool { return w.dataSize() > 15<<20 })
	w.kill()
	w.write("data/foreign.txt", []byte("not ours"))
	w.serve()
	if size := w.dataSize(); size > 8<<20 {
		t.Errorf("%d MiB are left behind", size>>20)
	}
	if got := w.traces("trace"); len(got) != 0 {
		t.Errorf("a message that was never answered 250: %s", got[0].raw)
	}
	w.send("anna@home.test", "after the cut", "anna@home.test")
	w.await("anna@home.test", in("delivered"))
}

func TestTheDataFolderIsForTheGatewaysUserOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	data := filepath.Join(w.dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	w.start("")
	info, err := os.Stat(data)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data folder is %v, %v", info.Mode(), err)
	}
}

func TestFewFileDescriptorsSlowTheGatewayDownAndDoNotEndIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settings["limits.connections"], w.settings["limits.connections_per_client"] = "500", "500"
	w.start("")
	var few syscall.Rlimit
	few.Cur, few.Max = 64, 64
	if err := prlimit(w.process.cmd.Process.Pid, &few); err != nil {
		t.Skipf("cannot limit the process: %v", err)
	}
	var crowd []net.Conn
	defer func() {
		for _, c := range crowd {
			c.Close()
		}
	}()
	for range 120 {
		c, err := net.DialTimeout("tcp", w.addr, time.Second)
		if err != nil {
			break
		}
		crowd = append(crowd, c)
	}
	time.Sleep(time.Second)
	select {
	case <-w.process.ended:
		t.Fatal("the gateway ended")
	default:
	}
	for _, c := range crowd {
		c.Close()
	}
	eventually(t, patience, "it serves again", func() bool {
		c, err := net.DialTimeout("tcp", w.addr, time.Second)
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		greeting := make([]byte, 4)
		n, _ := c.Read(greeting)
		return string(greeting[:n]) == "220 "
	})
	w.send("anna@home.test", "after the flood", "anna@home.test")
	w.await("anna@home.test", in("delivered"))
}

func TestFourLargestMessagesAtOnceNeedLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("600 MB")
	}
	w := newWorld(t)
	p := &sink{}
	p.listen(t, w)
	w.start("")
	before, peak := w.memory(), int64(0)
	done := make(chan error, 4)
	for i := range 4 {
		c := w.connect("")
		c.say("EHLO mail.home.test", "250")
		c.say("MAIL FROM:<anna@home.test>", "250")
		c.say(fmt.Sprintf("RCPT TO:<a%d@big.test>", i), "250")
		c.say("DATA", "354")
		go func() {
			chunk := []byte(strings.Repeat(strings.Repeat("z", 998)+"\r\n", 100))
			_, err := c.conn.Write([]byte("Subject: big\r\n\r\n"))
			for n := 0; n < 1499 && err == nil; n++ {
				_, err = c.conn.Write(chunk)
			}
			if err == nil {
				_, err = c.conn.Write([]byte(".\r\n"))
			}
			if reply := c.read(); err == nil && !strings.HasPrefix(reply, "250") {
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
	eventually(t, 3*patience, "all go on", func() bool {
		peak = max(peak, w.memory())
		return p.messages.Load() == 4
	})
	t.Logf("memory grew by %d MiB", (peak-before)>>20)
	if grown := peak - before; grown > 64<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

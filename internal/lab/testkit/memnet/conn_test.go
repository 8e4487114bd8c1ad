package memnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/lab/testkit/memnet"
)

func TestWritesAreBufferedAndReadInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		b.Write([]byte("MAIL\r\n"))
		b.Write([]byte("RCPT\r\n"))
		b.Close()
		got, err := io.ReadAll(a)
		if err != nil || string(got) != "MAIL\r\nRCPT\r\n" {
			t.Fatalf("read %q, %v", got, err)
		}
		if _, err := a.Write([]byte("250\r\n")); !errors.Is(err, syscall.EPIPE) {
			t.Fatalf("write to a closed peer: %v", err)
		}
	})
}

func TestDeadlinesAreHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		start := time.Now()
		a.SetReadDeadline(start.Add(5 * time.Minute))
		_, err := a.Read(make([]byte, 1))
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read: %v", err)
		}
		if d := time.Since(start); d != 5*time.Minute {
			t.Fatalf("waited %v", d)
		}
		b.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := b.Write(make([]byte, memnet.Window+1))
		if n != memnet.Window || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("write beyond the window: %d, %v", n, err)
		}
	})
}

func TestADeadlineSetLaterWakesABlockedRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := memnet.Pipe()
		done := make(chan error, 1)
		go func() { _, err := a.Read(make([]byte, 1)); done <- err }()
		synctest.Wait()
		a.SetReadDeadline(time.Now())
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	})
}

func TestAWriterWaitsForTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		want := bytes.Repeat([]byte("0123456789"), memnet.Window/4)
		go func() { b.Write(want); b.CloseWrite() }()
		if got, err := io.ReadAll(a); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d octets, %v", len(got), err)
		}
	})
}

func TestResetLosesWhatWasNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		b.Write([]byte("QUIT\r\n"))
		b.Reset()
		if _, err := a.Read(make([]byte, 9)); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
	})
}

func TestANetworkConnectsRefusesAndSwallows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		l, err := n.Listen("192.0.2.1:25")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Listen("192.0.2.1:25"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("second listener: %v", err)
		}
		d := n.Dialer("198.51.100.7")
		client, err := d.DialContext(context.Background(), "tcp", "192.0.2.1:25")
		if err != nil {
			t.Fatal(err)
		}
		server, _ := l.Accept()
		if server.RemoteAddr().String() != client.LocalAddr().String() {
			t.Fatalf("%v and %v", server.RemoteAddr(), client.LocalAddr())
		}
		if _, err := d.DialContext(context.Background(), "tcp", "192.0.2.2:25"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("nobody listens: %v", err)
		}
		n.Blackhole("192.0.2.3")
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if _, err := d.DialContext(ctx, "tcp", "192.0.2.3:25"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("black hole: %v", err)
		}
		l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("accept after close: %v", err)
		}
		if _, err := d.DialContext(context.Background(), "tcp", "192.0.2.1:25"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("after close: %v", err)
		}
	})
}

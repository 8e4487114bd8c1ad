//go:build unix

package postgres

import (
	"net"
	"testing"
	"time"
)

// pair is both ends of a connection.
func pair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err == nil {
		b, err = l.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

// TestStirs: a connection that nothing came over does not stir, also while somebody waits to read from it; one that has
// ended, or was written to, does.
func TestStirs(t *testing.T) {
	a, b := pair(t)
	if stirs(a) {
		t.Error("it stirs")
	}
	read := make(chan error)
	go func() {
		_, err := a.Read(make([]byte, 1))
		read <- err
	}()
	time.Sleep(10 * time.Millisecond)
	if stirs(a) {
		t.Error("it stirs while somebody waits to read from it")
	}
	b.Close()
	if err := <-read; err == nil {
		t.Error("something was read")
	}
	if !stirs(a) {
		t.Error("it has ended, and does not stir")
	}
	a, b = pair(t)
	if _, err := b.Write([]byte("E")); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if stirs(a) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("something came, and it does not stir")
}

func BenchmarkStirs(b *testing.B) {
	c, _ := pair(b)
	for b.Loop() {
		if stirs(c) {
			b.Fatal("it stirs")
		}
	}
}

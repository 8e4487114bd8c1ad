package endurance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Strangers at the admin port take neither memory, with posts of any size, nor the descriptors of mail, with requests
// that they do not end; and whoever asks for health is answered meanwhile.
func TestStrangersAtTheAdminPortHarmNobody(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	g := newGateway(t, s.addr())
	admin := freeAddress(t)
	g.settings["admin.listen"] = fmt.Sprintf("%q", admin)
	g.start()
	began := g.resident()
	var good atomic.Int64
	attack(20, 20, func(i int) {
		path := []string{"/sign-in", "/setup", "/rules/file", "/rules/edit", "/passkey/sign-in", "/api/v1/rules", "/nowhere"}[i%7]
		status, err := post(admin, path, 31<<20)
		if err != nil {
			t.Error(err)
		}
		if status == http.StatusOK {
			good.Add(1)
		}
	})
	grown := g.resident() - began
	t.Logf("20 posts of 31 MiB cost %d MiB", grown>>20)
	if grown > 48<<20 || good.Load() > 0 {
		t.Errorf("20 posts of 31 MiB cost %d MiB, %d were answered with 200", grown>>20, good.Load())
	}
	for range 400 {
		c, err := net.Dial("tcp", admin)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST /sign-in HTTP/1.1\r\nHost: %s\r\nContent-Le", admin)
	}
	client := http.Client{Timeout: patience}
	r, err := client.Get("http://" + admin + "/healthz")
	if err != nil {
		t.Fatalf("health behind half-sent requests: %v", err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Errorf("health behind half-sent requests: %s", r.Status)
	}
	g.sound(s, "honest.", 1<<30)
}

// post sends a form of a size and returns the status it was answered with, 0 where the connection was closed.
func post(addr, path string, size int) (status int, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience)) // shows below
	fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\nname=", path, addr, size)
	block := strings.Repeat("x", 64<<10)
	for n := len("name="); n < size && err == nil; n += len(block) {
		_, err = io.WriteString(c, block[:min(len(block), size-n)]) // an error: it was answered, and closed
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, nil
	}
	return r.StatusCode, nil
}

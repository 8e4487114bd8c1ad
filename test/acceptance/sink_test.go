package acceptance

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"postern/test/harness"
)

// sink is the server of big.test: it takes content and keeps nothing of it but the count.
type sink struct {
	messages, bytes atomic.Int64
}

func (s *sink) listen(t *testing.T, w *world) {
	t.Helper()
	ip := harness.NewIP()
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", ip, w.Port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w.Record("big.test MX 10 mx.big.test", "mx.big.test A "+ip)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
}

func (s *sink) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	fmt.Fprint(c, "220 mx.big.test\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch strings.ToUpper(strings.TrimSpace(line)) {
		case "DATA":
			fmt.Fprint(c, "354 go on\r\n")
			if !s.content(r) {
				return
			}
			s.messages.Add(1)
			fmt.Fprint(c, "250 taken\r\n")
		case "QUIT":
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprint(c, "250 ok\r\n")
		}
	}
}

func (s *sink) content(r *bufio.Reader) bool {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) { // a long line comes in pieces
			return false
		}
		if string(line) == ".\r\n" {
			return true
		}
		s.bytes.Add(int64(len(line)))
	}
}

// memory is what the gateway has resident.
func (w *world) memory() int64 {
	w.T.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.Process.Cmd.Process.Pid))
	if err != nil {
		w.T.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	if err != nil {
		w.T.Fatal(err)
	}
	return kb << 10
}

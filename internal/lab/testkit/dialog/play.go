package dialog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// Player plays one side of a script over a connection. Not safe for concurrent use.
type Player struct {
	// Side is who we are: the lines of this side are sent, the other's expected.
	Side Side
	// TLS does the handshake of (tls) and returns the connection to go on with.
	TLS func(net.Conn) (net.Conn, error)
	// Timeout is how long an expected line may take; 0 means 20 minutes, which in a bubble cost nothing.
	Timeout time.Duration

	nc  net.Conn
	in  *bufio.Reader
	out []byte
}

// Play plays s over nc and closes nc at the end. The error names the line of the dialog.
func (p *Player) Play(s *Script, nc net.Conn) error {
	p.nc, p.in, p.out = nc, bufio.NewReader(nc), nil
	if p.Timeout == 0 {
		p.Timeout = 20 * time.Minute
	}
	defer func() { p.nc.Close() }()
	for _, st := range s.steps {
		if err := p.do(st); err != nil {
			return fmt.Errorf("dialog line %d: %s: %w", st.line, st.source, err)
		}
	}
	return p.flush()
}

func (p *Player) do(st step) error {
	switch {
	case st.move == string(rune(p.Side)):
		p.out = append(append(p.out, st.text...), "\r\n"...)
		return nil
	case st.move == "raw" || st.move == "fill":
		p.out = append(p.out, strings.Repeat(st.text, st.count)...)
		return nil
	}
	if err := p.flush(); err != nil && st.move != "C" && st.move != "S" && st.move != "eof" {
		return err // a line or an end that is expected may come although nobody reads what we send
	}
	switch st.move {
	case "C", "S":
		return p.expect(st.text)
	case "wait":
		time.Sleep(st.wait)
	case "quiet":
		return p.quiet(st.wait)
	case "tls":
		return p.handshake(st.text == "fails")
	case "eof":
		return p.eof()
	case "half":
		return p.half()
	case "cut":
		if c, ok := p.nc.(interface{ Reset() }); ok {
			c.Reset()
		}
		return p.nc.Close()
	}
	return nil
}

func (p *Player) flush() error {
	if len(p.out) == 0 {
		return nil
	}
	out := p.out
	p.out = nil
	p.nc.SetWriteDeadline(time.Now().Add(p.Timeout))
	_, err := p.nc.Write(out)
	return err
}

func (p *Player) expect(pattern string) error {
	p.nc.SetReadDeadline(time.Now().Add(p.Timeout))
	line, err := p.in.ReadString('\n')
	if err != nil {
		return fmt.Errorf("got %q and %w", line, err)
	}
	line, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return fmt.Errorf("the line does not end in CRLF: %q", line)
	}
	if !Match(pattern, line) {
		return fmt.Errorf("got %q", line)
	}
	return nil
}

func (p *Player) quiet(d time.Duration) error {
	p.nc.SetReadDeadline(time.Now().Add(d))
	b, err := p.in.ReadByte()
	if err == nil {
		rest, _ := p.in.Peek(p.in.Buffered())
		return fmt.Errorf("got %q", string(b)+string(rest))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

func (p *Player) handshake(mustFail bool) error {
	if p.TLS == nil {
		return errors.New("this test has no TLS")
	}
	if n := p.in.Buffered(); n > 0 {
		rest, _ := p.in.Peek(n)
		return fmt.Errorf("the other side sent %q before the handshake", rest)
	}
	p.nc.SetDeadline(time.Now().Add(p.Timeout))
	nc, err := p.TLS(p.nc)
	if mustFail {
		if err == nil {
			return errors.New("the handshake succeeded")
		}
		return nil
	}
	if err != nil {
		return err
	}
	p.nc, p.in = nc, bufio.NewReader(nc)
	return nil
}

func (p *Player) eof() error {
	p.nc.SetReadDeadline(time.Now().Add(p.Timeout))
	rest, err := io.ReadAll(p.in)
	if len(rest) > 0 {
		return fmt.Errorf("got %q before the end", rest)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("the connection is still open")
	}
	return nil
}

func (p *Player) half() error {
	c, ok := p.nc.(interface{ CloseWrite() error })
	if !ok {
		return errors.New("this connection cannot be half closed")
	}
	return c.CloseWrite()
}

// Match reports whether line has the form of pattern, in which "*" stands for any run of characters.
func Match(pattern, line string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	line, ok := strings.CutPrefix(line, head)
	if !ok || !star {
		return ok && line == ""
	}
	for i := range len(line) + 1 {
		if Match(rest, line[i:]) {
			return true
		}
	}
	return false
}

// Package wire is the little SMTP that the load source, the sink and the null relay share. It is made to cost as little
// as it can, not to be tolerant: each side knows what the other says. Nothing of the gateway uses it, and it uses
// nothing of the gateway, so that the two cannot share a mistake.
package wire

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// Wait is how long a read or a write may take before the connection is given up.
const Wait = 60 * time.Second

// window is the size of the read buffer: four TLS records.
const window = 64 << 10

// end is what ends content, the line end before it included.
const end = "\r\n.\r\n"

// ErrLong means that a line does not fit into the read buffer.
var ErrLong = errors.New("a line is too long")

// Conn is a connection with one read buffer. It is not safe for use by several goroutines. TLS can be put on with
// Secure; the zero value is of no use.
type Conn struct {
	net.Conn
	// Pipelining says whether the server's last answer to EHLO offered it.
	Pipelining bool

	in   []byte
	r, w int // what is unread in in
}

// New wraps a connection.
func New(c net.Conn) *Conn { return &Conn{Conn: c, in: make([]byte, window)} }

// Secure replaces the channel by TLS, made by tls.Client or tls.Server, and runs the handshake. What was read ahead in
// the clear is an error.
func (c *Conn) Secure(over func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config) error {
	if c.r != c.w {
		return errors.New("there was input before the TLS handshake")
	}
	_ = c.SetDeadline(time.Now().Add(Wait)) // fails on a closed connection only, and so does the handshake
	t := over(c.Conn, config)
	if err := t.Handshake(); err != nil {
		return err
	}
	c.Conn = t
	return nil
}

// fill reads more. A full buffer is an error.
func (c *Conn) fill() error {
	if c.r > 0 {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.in) {
		return ErrLong
	}
	_ = c.SetReadDeadline(time.Now().Add(Wait)) // fails on a closed connection only, and so does the read
	n, err := c.Read(c.in[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	return err
}

// HasLine reports whether a whole line was read already.
func (c *Conn) HasLine() bool { return bytes.IndexByte(c.in[c.r:c.w], '\n') >= 0 }

// Line returns the next line without its end. It is valid until the next call.
func (c *Conn) Line() ([]byte, error) {
	for from := c.r; ; {
		if i := bytes.IndexByte(c.in[from:c.w], '\n'); i >= 0 {
			line := bytes.TrimSuffix(c.in[c.r:from+i], []byte("\r"))
			c.r = from + i + 1
			return line, nil
		}
		seen := c.w - c.r
		if err := c.fill(); err != nil {
			return nil, err
		}
		from = c.r + seen
	}
}

// Reply reads one reply, whatever its number of lines. The text is that of its last line, valid until the next call.
func (c *Conn) Reply() (code int, text []byte, err error) {
	for {
		line, err := c.Line()
		if err != nil {
			return 0, nil, err
		}
		if len(line) < 3 {
			return 0, nil, fmt.Errorf("%q is not a reply", line)
		}
		if len(line) == 3 || line[3] != '-' {
			return int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0'), line, nil
		}
	}
}

// Expect reads one reply and makes anything but the code an error.
func (c *Conn) Expect(code int) error {
	got, text, err := c.Reply()
	if err == nil && got != code {
		err = fmt.Errorf("%d was expected, the answer is %q", code, text)
	}
	return err
}

// Content hands on the content after DATA, piece by piece, as it is on the wire: with its dots stuffed, and with the
// line of one dot that ends it. Each piece is valid only during the call. Content must not be empty.
func (c *Conn) Content(each func([]byte)) error {
	for {
		if i := bytes.Index(c.in[c.r:c.w], []byte(end)); i >= 0 {
			each(c.in[c.r : c.r+i+len(end)])
			c.r += i + len(end)
			return nil
		}
		if keep := len(end) - 1; c.w-c.r > keep { // the end may be cut in two
			each(c.in[c.r : c.w-keep])
			c.r = c.w - keep
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// Send writes all of b.
func (c *Conn) Send(b []byte) error {
	_ = c.SetWriteDeadline(time.Now().Add(Wait)) // fails on a closed connection only, and so does the write
	_, err := c.Write(b)
	return err
}

// Dial opens a session up to the answer to EHLO. With config it goes through STARTTLS and says EHLO again.
func Dial(address, helo string, config *tls.Config) (*Conn, error) {
	raw, err := net.DialTimeout("tcp", address, Wait)
	if err != nil {
		return nil, err
	}
	c := New(raw)
	if err = c.Expect(220); err == nil {
		err = c.hello(helo)
	}
	if err == nil && config != nil {
		if err = c.ask([]byte("STARTTLS\r\n"), 220); err == nil {
			err = c.Secure(tls.Client, config)
		}
		if err == nil {
			err = c.hello(helo)
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// hello says EHLO and reads what is offered.
func (c *Conn) hello(helo string) error {
	if err := c.Send([]byte("EHLO " + helo + "\r\n")); err != nil {
		return err
	}
	for c.Pipelining = false; ; {
		line, err := c.Line()
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(line, []byte("250")) {
			return fmt.Errorf("the answer to EHLO is %q", line)
		}
		c.Pipelining = c.Pipelining || bytes.HasSuffix(line, []byte("PIPELINING"))
		if len(line) < 4 || line[3] != '-' {
			return nil
		}
	}
}

func (c *Conn) ask(command []byte, code int) error {
	if err := c.Send(command); err != nil {
		return err
	}
	return c.Expect(code)
}

// Quit takes leave and closes.
func (c *Conn) Quit() {
	if c.Send([]byte("QUIT\r\n")) == nil {
		_ = c.Expect(221) // polite; whatever the answer is, the work is done
	}
	c.Close()
}

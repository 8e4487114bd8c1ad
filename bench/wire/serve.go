package wire

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
)

// Session is what a server makes of one connection's mail.
type Session interface {
	// Mail and Rcpt take the argument of the command, "<a@b.test> SIZE=1" for example, valid during the call only.
	Mail(arg []byte)
	Rcpt(arg []byte)
	// Piece takes the content as Content hands it on.
	Piece(b []byte)
	// Done ends the content. nil is answered with 250, an error with 451.
	Done() error
	// Reset forgets a transaction.
	Reset()
}

// Serve speaks the server's side of one connection until it ends, and closes it. STARTTLS is offered when there is a
// config. Replies to pipelined commands go out in one write.
func Serve(raw net.Conn, hostname string, config *tls.Config, s Session) error {
	c := New(raw)
	defer func() { c.Close() }()
	out := append(make([]byte, 0, 4096), "220 "+hostname+" ESMTP\r\n"...)
	plain := true
	for {
		if !c.HasLine() {
			if err := c.Send(out); err != nil {
				return err
			}
			out = out[:0]
		}
		line, err := c.Line()
		if err != nil {
			return err
		}
		verb, arg := cut(line)
		switch verb {
		case "EHLO":
			out = fmt.Appendf(out, "250-%s\r\n250-PIPELINING\r\n250-SIZE %d\r\n", hostname, 200_000_000)
			if config != nil && plain {
				out = append(out, "250-STARTTLS\r\n"...)
			}
			out = append(out, "250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n"...)
		case "HELO":
			out = append(out, "250 "+hostname+"\r\n"...)
		case "STARTTLS":
			if config == nil || !plain {
				out = append(out, "502 5.5.1 no\r\n"...)
				break
			}
			if err := c.Send(append(out, "220 2.0.0 go\r\n"...)); err != nil {
				return err
			}
			out = out[:0]
			if err := c.Secure(tls.Server, config); err != nil {
				return err
			}
			plain = false
		case "MAIL":
			s.Mail(after(arg, "FROM:"))
			out = append(out, "250 2.1.0 ok\r\n"...)
		case "RCPT":
			s.Rcpt(after(arg, "TO:"))
			out = append(out, "250 2.1.5 ok\r\n"...)
		case "DATA":
			if err := c.Send(append(out, "354 go\r\n"...)); err != nil {
				return err
			}
			out = out[:0]
			if err := c.Content(s.Piece); err != nil {
				return err
			}
			if err := s.Done(); err != nil {
				out = append(out, "451 4.3.0 "+strconv.Quote(err.Error())+"\r\n"...)
				break
			}
			out = append(out, "250 2.0.0 ok\r\n"...)
		case "RSET":
			s.Reset()
			out = append(out, "250 2.0.0 ok\r\n"...)
		case "NOOP":
			out = append(out, "250 2.0.0 ok\r\n"...)
		case "QUIT":
			return c.Send(append(out, "221 2.0.0 bye\r\n"...))
		default:
			out = append(out, "502 5.5.1 no\r\n"...)
		}
	}
}

// cut parts a command from its argument and brings its verb to upper case.
func cut(line []byte) (verb string, arg []byte) {
	name, arg, _ := bytes.Cut(line, []byte(" "))
	return string(bytes.ToUpper(name)), arg
}

// after is the argument behind "FROM:" or "TO:".
func after(arg []byte, prefix string) []byte {
	if len(arg) >= len(prefix) {
		arg = arg[len(prefix):]
	}
	return arg
}

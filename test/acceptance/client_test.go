package acceptance

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// client is one SMTP connection to the gateway, spoken by hand.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// stranger is a client address outside the relay networks.
const stranger = "127.0.0.99"

// connect opens a connection and reads the greeting. from is the client's address, "" for one that may relay.
func (w *world) connect(from string) *client {
	w.t.Helper()
	c := dial(w.t, w.addr, from)
	c.wants("220")
	return c
}

func dial(t *testing.T, addr, from string) *client {
	t.Helper()
	if from == "" {
		from = "127.0.0.1"
	}
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{t, conn, bufio.NewReader(conn)}
}

// read returns one whole reply, "" when the connection ended.
func (c *client) read() string {
	var reply strings.Builder
	_ = c.conn.SetReadDeadline(time.Now().Add(patience)) // a deadline that cannot be set shows at the read
	for {
		line, err := c.r.ReadString('\n')
		reply.WriteString(line)
		if err != nil || len(line) < 4 || line[3] != '-' {
			return reply.String()
		}
	}
}

// raw sends bytes as they are.
func (c *client) raw(text string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(text)); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// wants reads a reply that must begin so.
func (c *client) wants(prefix string) string {
	c.t.Helper()
	reply := c.read()
	if !strings.HasPrefix(reply, prefix) {
		c.t.Fatalf("reply %q, want %s", reply, prefix)
	}
	return reply
}

// say sends a command and wants a reply.
func (c *client) say(command, prefix string) string {
	c.t.Helper()
	c.raw(command + "\r\n")
	reply := c.read()
	if !strings.HasPrefix(reply, prefix) {
		c.t.Fatalf("%.100q: reply %q, want %s", command, reply, prefix)
	}
	return reply
}

// startTLS asks for TLS and shakes hands. cfg is the client's side; nil verifies nothing.
func (c *client) startTLS(cfg *tls.Config) tls.ConnectionState {
	c.t.Helper()
	c.say("STARTTLS", "220")
	return c.shake(cfg)
}

// shake begins TLS at once.
func (c *client) shake(cfg *tls.Config) tls.ConnectionState {
	c.t.Helper()
	if cfg == nil {
		cfg = &tls.Config{InsecureSkipVerify: true}
	}
	conn := tls.Client(c.conn, cfg)
	if err := conn.Handshake(); err != nil {
		c.t.Fatalf("handshake: %v", err)
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
	return conn.ConnectionState()
}

// message is a small content with a header; its last line is the text.
func message(from string, to []string, text string) string {
	return fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: <%d@home.test>\r\nDate: %s\r\n\r\n%s\r\n",
		from, strings.Join(to, ">, <"), "about "+text, time.Now().UnixNano(), time.Now().Format(time.RFC1123Z), text)
}

// transaction sends one message over an open session, after EHLO, and returns the gateway's id for it.
func (c *client) transaction(from string, to []string, content string) string {
	c.t.Helper()
	c.say("MAIL FROM:<"+from+">", "250")
	for _, r := range to {
		c.say("RCPT TO:<"+r+">", "250")
	}
	c.say("DATA", "354")
	c.raw(content)
	reply := c.say(".", "250 2.0.0 Ok: queued as ")
	return strings.TrimSpace(reply[strings.LastIndexByte(strings.TrimSpace(reply), ' '):])
}

// send hands the gateway a message whose body is text, as the organisation's own server would.
func (w *world) send(from, text string, to ...string) string {
	w.t.Helper()
	c := w.connect("")
	defer c.conn.Close()
	c.say("EHLO mail.home.test", "250")
	id := c.transaction(from, to, message(from, to, text))
	c.say("QUIT", "221")
	return id
}

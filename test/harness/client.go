package harness

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// Client is one SMTP connection to the gateway, spoken by hand.
type Client struct {
	T *testing.T
	// Conn is the connection; of TLS once that has begun.
	Conn net.Conn
	R    *bufio.Reader // over Conn
}

// Stranger is a client address outside the relay networks.
const Stranger = "127.0.0.99"

// Connect opens a connection and reads the greeting. from is the client's address, "" for one that may relay.
func (w *World) Connect(from string) *Client {
	w.T.Helper()
	c := Dial(w.T, w.Addr, from)
	c.Wants("220")
	return c
}

// Dial opens a connection to any address, without reading from it. from is as in Connect.
func Dial(t *testing.T, addr, from string) *Client {
	t.Helper()
	if from == "" {
		from = "127.0.0.1"
	}
	d := net.Dialer{Timeout: Patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &Client{t, conn, bufio.NewReader(conn)}
}

// Read returns one whole reply, "" when the connection ended.
func (c *Client) Read() string {
	var reply strings.Builder
	_ = c.Conn.SetReadDeadline(time.Now().Add(Patience)) // a deadline that cannot be set shows at the read
	for {
		line, err := c.R.ReadString('\n')
		reply.WriteString(line)
		if err != nil || len(line) < 4 || line[3] != '-' {
			return reply.String()
		}
	}
}

// Raw sends bytes as they are.
func (c *Client) Raw(text string) {
	c.T.Helper()
	if _, err := c.Conn.Write([]byte(text)); err != nil {
		c.T.Fatalf("sending: %v", err)
	}
}

// Wants reads a reply that must begin so.
func (c *Client) Wants(prefix string) string {
	c.T.Helper()
	reply := c.Read()
	if !strings.HasPrefix(reply, prefix) {
		c.T.Fatalf("reply %q, want %s", reply, prefix)
	}
	return reply
}

// Say sends a command and wants a reply.
func (c *Client) Say(command, prefix string) string {
	c.T.Helper()
	c.Raw(command + "\r\n")
	reply := c.Read()
	if !strings.HasPrefix(reply, prefix) {
		c.T.Fatalf("%.100q: reply %q, want %s", command, reply, prefix)
	}
	return reply
}

// StartTLS asks for TLS and shakes hands. cfg is the client's side; nil verifies nothing.
func (c *Client) StartTLS(cfg *tls.Config) tls.ConnectionState {
	c.T.Helper()
	c.Say("STARTTLS", "220")
	return c.Shake(cfg)
}

// Shake begins TLS at once.
func (c *Client) Shake(cfg *tls.Config) tls.ConnectionState {
	c.T.Helper()
	if cfg == nil {
		cfg = &tls.Config{InsecureSkipVerify: true}
	}
	conn := tls.Client(c.Conn, cfg)
	if err := conn.Handshake(); err != nil {
		c.T.Fatalf("handshake: %v", err)
	}
	c.Conn, c.R = conn, bufio.NewReader(conn)
	return conn.ConnectionState()
}

// Message is a small content with a header; its last line is the text.
func Message(from string, to []string, text string) string {
	return fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: <%d@home.test>\r\nDate: %s\r\n\r\n%s\r\n",
		from, strings.Join(to, ">, <"), "about "+text, time.Now().UnixNano(), time.Now().Format(time.RFC1123Z), text)
}

// Transaction sends one message over an open session, after EHLO, and returns the gateway's id for it.
func (c *Client) Transaction(from string, to []string, content string) string {
	c.T.Helper()
	c.Say("MAIL FROM:<"+from+">", "250")
	for _, r := range to {
		c.Say("RCPT TO:<"+r+">", "250")
	}
	c.Say("DATA", "354")
	c.Raw(content)
	reply := c.Say(".", "250 2.0.0 Ok: queued as ")
	return strings.TrimSpace(reply[strings.LastIndexByte(strings.TrimSpace(reply), ' '):])
}

// Send hands the gateway a message whose body is text, as the organisation's own server would.
func (w *World) Send(from, text string, to ...string) string {
	w.T.Helper()
	c := w.Connect("")
	defer c.Conn.Close()
	c.Say("EHLO mail.home.test", "250")
	id := c.Transaction(from, to, Message(from, to, text))
	c.Say("QUIT", "221")
	return id
}

// Seed is a seed by chance, or that of POSTERN_SEED, which repeats a run.
func Seed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("POSTERN_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("POSTERN_SEED=%d", seed)
	return seed
}

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/emersion/go-smtp"

	"postern/test/peers"
)

// mailFrom gives a message to the gateway as a client of the organisation, with a client that is not ours.
func (w *world) mailFrom(t *testing.T, from, to string, content []byte, options *smtp.MailOptions) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(frontIP)}}
	conn, err := dialer.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	client := smtp.NewClient(conn)
	defer client.Close()
	if err := client.Hello("client.example.test"); err != nil {
		t.Fatal(err)
	}
	if err := client.Mail(from, options); err != nil {
		t.Fatal(err)
	}
	if err := client.Rcpt(to, nil); err != nil {
		t.Fatal(err)
	}
	data, err := client.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := data.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := data.Close(); err != nil {
		t.Fatal(err)
	}
	if err := client.Quit(); err != nil {
		t.Error(err)
	}
}

// body returns what follows the header section.
func body(content []byte) []byte {
	_, after, _ := bytes.Cut(content, []byte("\r\n\r\n"))
	return after
}

// testContent checks that content which is easily damaged on the way is not: leading dots, octets above 127, trailing
// blanks, the longest line allowed, megabytes.
func testContent(t *testing.T, w *world) {
	random := rand.New(rand.NewPCG(1, 2))
	large := new(bytes.Buffer)
	for large.Len() < 12<<20 {
		line := make([]byte, random.IntN(90))
		for i := range line {
			line[i] = " .abcdefghijklmnopqrstuvwxyz0123456789="[random.IntN(39)]
		}
		large.Write(line)
		large.WriteString("\r\n")
	}
	for name, content := range map[string]string{
		"dots":       ".\r\n..\r\n...\r\n. x\r\nend\r\n",
		"eight bits": "gr\xc3\xbc\xc3\x9fe \xff\xfe\r\n",
		"blanks":     " \r\n\t\r\nend  \r\n\r\n\r\n",
		"long line":  string(bytes.Repeat([]byte("x"), 998)) + "\r\n",
		"large":      large.String(),
	} {
		for _, domain := range []string{"postfix.test", "exim.test"} {
			to := fmt.Sprintf("content@%s", domain)
			id := fmt.Sprintf("<%s.%s@example.test>", bytes.ReplaceAll([]byte(name), []byte(" "), []byte("-")), domain)
			head := "From: anna@example.test\r\nTo: " + to + "\r\nMessage-ID: " + id + "\r\nSubject: " + name +
				"\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
			w.mailFrom(t, "anna@example.test", to, []byte(head+content), &smtp.MailOptions{Body: smtp.Body8BitMIME})
			m := w.sink.Wait(t, patience, peers.With(to, id))
			if !bytes.Equal(body(m.Data), []byte(content)) {
				t.Errorf("%s over %s arrived changed: %d octets of body, %d were sent", name, domain, len(body(m.Data)), len(content))
			}
		}
	}
}

// testInternational checks a message whose addresses need SMTPUTF8 (RFC 6531).
func testInternational(t *testing.T, w *world) {
	const to = "jürgen@postfix.test"
	content := "From: anna@example.test\r\nTo: " + to + "\r\nSubject: Grüße\r\n\r\ninternational\r\n"
	w.mailFrom(t, "anna@example.test", to, []byte(content), &smtp.MailOptions{UTF8: true, Body: smtp.Body8BitMIME})
	w.sink.Wait(t, patience, peers.With(to, "international"))
}

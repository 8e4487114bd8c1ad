package acceptance

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
)

func TestWhatCameBeforeTheHandshakeDoesNotSurviveIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("")

	// A transaction and a name given in plaintext are forgotten.
	c := w.connect("")
	c.say("EHLO first.example", "250")
	c.say("MAIL FROM:<evil@home.test>", "250")
	c.say("RCPT TO:<anna@home.test>", "250")
	c.startTLS(nil)
	c.say("DATA", "503")
	c.say("MAIL FROM:<anna@home.test>", "503")
	c.say("EHLO second.example", "250")
	c.say("DATA", "503")
	c.transaction("anna@home.test", []string{"anna@home.test"}, message("anna@home.test", []string{"anna@home.test"}, "after the handshake"))
	eventually(t, patience, "the message arrives", func() bool { return len(w.home().Messages()) == 1 })
	if got := w.home().Messages()[0]; got.From != "anna@home.test" || strings.Contains(got.Data, "first.example") {
		t.Errorf("the message came from %s:\n%s", got.From, got.Data)
	}

	// Commands in the same segment as STARTTLS are never carried out, neither before nor after the handshake.
	c = w.connect("")
	c.say("EHLO mail.home.test", "250")
	c.raw("STARTTLS\r\nMAIL FROM:<injected@home.test>\r\nRCPT TO:<anna@home.test>\r\nDATA\r\n\r\ninjected\r\n.\r\n")
	reply := c.read()
	if strings.HasPrefix(reply, "220") {
		conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
		if conn.Handshake() == nil {
			c.conn, c.r = conn, bufio.NewReader(conn)
			c.say("EHLO mail.home.test", "250")
			c.say("DATA", "503")
		}
	} else if !strings.HasPrefix(reply, "5") {
		t.Errorf("the reply to STARTTLS with more behind it: %q", reply)
	}
	time.Sleep(300 * time.Millisecond)
	if got := bodies(w.home(), "injected"); len(got) != 0 {
		t.Errorf("an injected message was delivered")
	}
}

func TestResponsesInjectedBeforeTheHandshakeAreNotBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.good("mx.clinic.test")
	p.Replies = map[string]string{"STARTTLS": "220 go on\r\n250-mx.clinic.test\r\n250 PIPELINING\r\n250 sender ok\r\n250 rcpt ok\r\n354 send it"}
	clinic := w.domain("clinic.test", p)
	w.start(force("clinic", `"clinic.test"`, `defer = "20s"`))
	w.send("anna@home.test", "not for the injector", "dr@clinic.test")
	got := w.await("dr@clinic.test", func(tr trace) bool { return tr.State == "queued" && tr.Reason != "" })
	if !strings.HasPrefix(got.Reason, "tls-") {
		t.Errorf("%s", got.raw)
	}
	if lines := forbidden(clinic, false); len(lines) > 0 {
		t.Errorf("heard %q", lines)
	}
}

func TestOnlyOneEndingEndsAMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start("")
	smuggled := "MAIL FROM:<smuggled@home.test>\r\nRCPT TO:<anna@home.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n"
	for i, ending := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r\n\x00.\r\n", "\r\n.\x00\r\n", "\n\n.\r\n", "\r\r\n.\r\r\n", "\r\n.\r\r\n"} {
		c := w.connect("")
		c.say("EHLO mail.home.test", "250")
		c.say("MAIL FROM:<anna@home.test>", "250")
		c.say("RCPT TO:<anna@home.test>", "250")
		c.say("DATA", "354")
		c.raw(fmt.Sprintf("Subject: carrier %d\r\n\r\ntext%s%s", i, ending, smuggled))
		replies := 0
		for range 4 { // the content is one message, or refused; what follows are at most commands out of place
			_ = c.conn.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
			line, err := c.r.ReadString('\n')
			if err != nil {
				break
			}
			if replies++; replies > 1 && strings.HasPrefix(line, "250 2.0.0 Ok: queued") {
				t.Errorf("%q: a second message was accepted", ending)
			}
		}
		c.conn.Close()
	}
	time.Sleep(time.Second)
	for _, m := range w.home().Messages() {
		if m.From == "smuggled@home.test" {
			t.Errorf("a smuggled message arrived:\n%s", m.Data)
		}
	}
}

func TestBadCommandsGetTheirReplies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.domain("clinic.test", w.good("mx.clinic.test"))
	w.start("")
	for _, c := range []struct{ command, reply string }{
		{strings.Repeat("A", 600), "500"},
		{"NOOP " + strings.Repeat("A", 1<<20), "500"},
		{"MAIL FROM:<" + strings.Repeat("a", 65) + "@home.test>", "553"},
		{"MAIL FROM:<a@" + strings.Repeat("b.", 130) + "test>", "55"},
		{"MAIL FROM:<a@b@c>", "5"}, {"MAIL FROM:a@home.test>", "501"}, {"MAIL FROM:", "501"},
		{"MAIL FROM:<a@home.test> SIZE=-1", "501"},
		{"MAIL FROM:<a@home.test> SIZE=99999999999999999999", "5"},
		{"MAIL FROM:<a@home.test> SIZE=150000001", "552"},
		{"MAIL FROM:<a@home.test> NONSENSE=1", "555"},
		{"MAIL FROM:<a\x00b@home.test>", "5"},
		{"\x00\x01\x02", "5"},
		{"RCPT TO:<anna@home.test>", "503"}, {"DATA", "503"}, {"WHAT", "500"}, {"", "500"},
	} {
		s := w.connect("")
		s.say("EHLO mail.home.test", "250")
		s.say(c.command, c.reply)
		if len(c.command) < 1<<20 {
			s.say("NOOP", "250") // the session goes on
		}
		s.conn.Close()
	}
	// NUL bytes in content travel or are refused, but nothing is cut off at them.
	s := w.connect("")
	s.say("EHLO mail.home.test", "250")
	s.say("MAIL FROM:<anna@home.test>", "250")
	s.say("RCPT TO:<anna@home.test>", "250")
	s.say("DATA", "354")
	s.raw("Subject: NUL\r\n\r\nbefore\x00after\r\n.\r\n")
	if reply := s.read(); strings.HasPrefix(reply, "250") {
		eventually(t, patience, "the message arrives", func() bool { return len(bodies(w.home(), "before\x00after")) == 1 })
	} else if !strings.HasPrefix(reply, "554") {
		t.Errorf("NUL in content: %q", reply)
	}
	// A long line, and text of the peer that tries to write log lines of its own.
	s = w.connect("")
	s.say("EHLO mail.home.test", "250")
	s.transaction("anna@home.test", []string{"anna@home.test"}, "Subject: long\r\n\r\n"+strings.Repeat("y", 100_000)+"\r\n")
	eventually(t, patience, "the long line arrives whole", func() bool { return len(bodies(w.home(), strings.Repeat("y", 100_000))) == 1 })
	s.say("EHLO \x1b[31mevil\u2028level=ERROR", "5")
	for line := range strings.Lines(w.log()) {
		if !strings.HasPrefix(line, "time=") || strings.ContainsAny(line, "\x1b\u2028") {
			t.Errorf("a log line that a stranger wrote: %q", line)
		}
	}
}

func TestAHundredThousandRecipients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.domain("shop.test", w.good("mx.shop.test"))
	w.start("")
	before := w.memory()
	c := w.connect("")
	c.say("EHLO mail.home.test", "250")
	c.say("MAIL FROM:<anna@home.test>", "250")
	accepted, refused, ended := 0, 0, false
	const total, step = 100_000, 500
	for n := 0; n < total && !ended; n += step {
		var batch strings.Builder
		for i := range step {
			fmt.Fprintf(&batch, "RCPT TO:<u%d@shop.test>\r\n", n+i)
		}
		if _, err := c.conn.Write([]byte(batch.String())); err != nil {
			break
		}
		for range step {
			switch reply := c.read(); {
			case strings.HasPrefix(reply, "250 2.1.5"), strings.HasPrefix(reply, "250"):
				accepted++
			case strings.HasPrefix(reply, "452 4.5.3"):
				refused++
			case strings.HasPrefix(reply, "421"), reply == "":
				ended = true
			default:
				t.Fatalf("reply %q", reply)
			}
			if ended {
				break
			}
		}
	}
	if accepted != 1000 || refused == 0 {
		t.Errorf("%d recipients were accepted and %d refused, want 1000 accepted", accepted, refused)
	}
	if !ended {
		c.say("DATA", "354")
		c.raw("Subject: many\r\n\r\nmany\r\n")
		c.say(".", "250")
		eventually(t, patience, "all accepted recipients get it", func() bool {
			n := 0
			for _, m := range shop.Messages() {
				n += len(m.To)
			}
			return n == accepted
		})
	}
	if grown := w.memory() - before; grown > 64<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	w.send("anna@home.test", "others are served", "anna@home.test")
}

func TestALargestMessageStreamsThrough(t *testing.T) {
	w := newWorld(t)
	w.domain("shop.test", w.good("mx.shop.test"))
	p := &sink{}
	p.listen(t, w)
	w.start("")
	w.send("anna@home.test", "warm", "a@big.test")
	eventually(t, patience, "the sink works", func() bool { return p.messages.Load() == 1 })
	before := w.memory()
	const limit = 150_000_000
	line := strings.Repeat("z", 998) + "\r\n"
	head := "Subject: big\r\n\r\n"
	c := w.connect("")
	c.say("EHLO mail.home.test", "250")
	c.say(fmt.Sprintf("MAIL FROM:<anna@home.test> SIZE=%d", limit), "250")
	c.say("RCPT TO:<a@big.test>", "250")
	c.say("DATA", "354")
	chunk := strings.Repeat(line, 100)
	out := bufio.NewWriterSize(c.conn, 1<<20)
	size, peak := len(head), int64(0)
	fmt.Fprint(out, head)
	for size+len(chunk) <= limit {
		if _, err := out.WriteString(chunk); err != nil {
			t.Fatal(err)
		}
		if size += len(chunk); size%(5*len(chunk)) < len(chunk) {
			peak = max(peak, w.memory())
		}
	}
	rest := limit - size - 2
	fmt.Fprintf(out, "%s\r\n.\r\n", strings.Repeat("w", rest))
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	c.wants("250 2.0.0")
	eventually(t, 3*patience, "the message goes on", func() bool {
		peak = max(peak, w.memory())
		return p.messages.Load() == 2
	})
	if got := p.bytes.Load(); got < limit {
		t.Errorf("%d of %d bytes arrived", got, limit)
	}
	t.Logf("memory grew by %d MiB", (peak-before)>>20)
	if grown := peak - before; grown > 64<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}

	// One octet more is refused, and the session goes on.
	c.say("MAIL FROM:<anna@home.test>", "250")
	c.say("RCPT TO:<a@big.test>", "250")
	c.say("DATA", "354")
	for sent := 0; sent <= limit; sent += len(chunk) {
		if _, err := out.WriteString(chunk); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprint(out, ".\r\n")
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	c.wants("552")
	c.say("NOOP", "250")
}

func TestIdleClientsDoNotKeepOthersFromBeingServed(t *testing.T) {
	w := newWorld(t)
	w.settings["limits.connections"] = "3000"
	w.settings["limits.connections_per_client"] = "1000"
	w.domain("shop.test", partner.Behaviour{})
	w.start("")
	before := w.memory()
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			c.Close()
		}
	}()
	const clients = 2900
	for i := range clients { // from three addresses, each a third; a third of them in the middle of a handshake or a message
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%3))}, Timeout: patience}
		c, err := d.Dial("tcp", w.addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		idle = append(idle, c)
		if i%3 == 1 {
			fmt.Fprint(c, "EHLO idle.example\r\nSTARTTLS\r\n")
		}
	}
	start := time.Now()
	w.send("anna@home.test", "in spite of the crowd", "bob@shop.test")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a client among %d idle ones was served in %v", clients, took)
	}
	w.await("bob@shop.test", in("delivered"))
	if grown := w.memory() - before; grown > 200<<20 {
		t.Errorf("%d idle clients cost %d MiB", clients, grown>>20)
	} else {
		t.Logf("%d idle clients cost %d MiB", clients, grown>>20)
	}
	// One address alone cannot take all: its next connection over the limit is turned away, others are not.
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 1)}}
	turnedAway := false
	for range 60 {
		c, err := d.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
		_ = c.SetReadDeadline(time.Now().Add(patience))
		code, _, _ := textproto.NewReader(bufio.NewReader(c)).ReadResponse(0)
		if code == 421 {
			turnedAway = true
			break
		}
	}
	if !turnedAway {
		t.Error("one address took more than its share")
	}
}

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
	"postern/test/harness"
)

func TestWhatCameBeforeTheHandshakeDoesNotSurviveIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Start("")

	// A transaction and a name given in plaintext are forgotten.
	c := w.Connect("")
	c.Say("EHLO first.example", "250")
	c.Say("MAIL FROM:<evil@home.test>", "250")
	c.Say("RCPT TO:<anna@home.test>", "250")
	c.StartTLS(nil)
	c.Say("DATA", "503")
	c.Say("MAIL FROM:<anna@home.test>", "503")
	c.Say("EHLO second.example", "250")
	c.Say("DATA", "503")
	c.Transaction("anna@home.test", []string{"anna@home.test"}, harness.Message("anna@home.test", []string{"anna@home.test"}, "after the handshake"))
	harness.Eventually(t, harness.Patience, "the message arrives", func() bool { return len(w.Home().Messages()) == 1 })
	if got := w.Home().Messages()[0]; got.From != "anna@home.test" || strings.Contains(got.Data, "first.example") {
		t.Errorf("the message came from %s:\n%s", got.From, got.Data)
	}

	// Commands in the same segment as STARTTLS are never carried out, neither before nor after the handshake.
	c = w.Connect("")
	c.Say("EHLO mail.home.test", "250")
	c.Raw("STARTTLS\r\nMAIL FROM:<injected@home.test>\r\nRCPT TO:<anna@home.test>\r\nDATA\r\n\r\ninjected\r\n.\r\n")
	reply := c.Read()
	if strings.HasPrefix(reply, "220") {
		conn := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
		if conn.Handshake() == nil {
			c.Conn, c.R = conn, bufio.NewReader(conn)
			c.Say("EHLO mail.home.test", "250")
			c.Say("DATA", "503")
		}
	} else if !strings.HasPrefix(reply, "5") {
		t.Errorf("the reply to STARTTLS with more behind it: %q", reply)
	}
	time.Sleep(300 * time.Millisecond)
	if got := harness.Bodies(w.Home(), "injected"); len(got) != 0 {
		t.Errorf("an injected message was delivered")
	}
}

func TestResponsesInjectedBeforeTheHandshakeAreNotBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.Good("mx.clinic.test")
	p.Replies = map[string]string{"STARTTLS": "220 go on\r\n250-mx.clinic.test\r\n250 PIPELINING\r\n250 sender ok\r\n250 rcpt ok\r\n354 send it"}
	clinic := w.Domain("clinic.test", p)
	w.Start(harness.Force("clinic", `"clinic.test"`, `defer = "20s"`))
	w.Send("anna@home.test", "not for the injector", "dr@clinic.test")
	got := w.Await("dr@clinic.test", func(tr harness.Trace) bool { return tr.State == "queued" && tr.Reason != "" })
	if !strings.HasPrefix(got.Reason, "tls-") {
		t.Errorf("%s", got.Raw)
	}
	if lines := harness.Forbidden(clinic, false); len(lines) > 0 {
		t.Errorf("heard %q", lines)
	}
}

func TestOnlyOneEndingEndsAMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Start("")
	smuggled := "MAIL FROM:<smuggled@home.test>\r\nRCPT TO:<anna@home.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n.\r\n"
	for i, ending := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r\n\x00.\r\n", "\r\n.\x00\r\n", "\n\n.\r\n", "\r\r\n.\r\r\n", "\r\n.\r\r\n"} {
		c := w.Connect("")
		c.Say("EHLO mail.home.test", "250")
		c.Say("MAIL FROM:<anna@home.test>", "250")
		c.Say("RCPT TO:<anna@home.test>", "250")
		c.Say("DATA", "354")
		c.Raw(fmt.Sprintf("Subject: carrier %d\r\n\r\ntext%s%s", i, ending, smuggled))
		replies := 0
		for range 4 { // the content is one message, or refused; what follows are at most commands out of place
			_ = c.Conn.SetReadDeadline(time.Now().Add(250 * time.Millisecond))
			line, err := c.R.ReadString('\n')
			if err != nil {
				break
			}
			if replies++; replies > 1 && strings.HasPrefix(line, "250 2.0.0 Ok: queued") {
				t.Errorf("%q: a second message was accepted", ending)
			}
		}
		c.Conn.Close()
	}
	time.Sleep(time.Second)
	for _, m := range w.Home().Messages() {
		if m.From == "smuggled@home.test" {
			t.Errorf("a smuggled message arrived:\n%s", m.Data)
		}
	}
}

func TestBadCommandsGetTheirReplies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("clinic.test", w.Good("mx.clinic.test"))
	w.Start("")
	for _, c := range []struct{ command, reply string }{
		{strings.Repeat("A", 600), "500"},
		{"NOOP " + strings.Repeat("A", 1<<20), "500"},
		{"MAIL FROM:<" + strings.Repeat("a", 256) + "@home.test>", "553"},
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
		s := w.Connect("")
		s.Say("EHLO mail.home.test", "250")
		s.Say(c.command, c.reply)
		if len(c.command) < 1<<20 {
			s.Say("NOOP", "250") // the session goes on
		}
		s.Conn.Close()
	}
	// NUL bytes in content travel or are refused, but nothing is cut off at them.
	s := w.Connect("")
	s.Say("EHLO mail.home.test", "250")
	s.Say("MAIL FROM:<anna@home.test>", "250")
	s.Say("RCPT TO:<anna@home.test>", "250")
	s.Say("DATA", "354")
	s.Raw("Subject: NUL\r\n\r\nbefore\x00after\r\n.\r\n")
	if reply := s.Read(); strings.HasPrefix(reply, "250") {
		harness.Eventually(t, harness.Patience, "the message arrives", func() bool { return len(harness.Bodies(w.Home(), "before\x00after")) == 1 })
	} else if !strings.HasPrefix(reply, "554") {
		t.Errorf("NUL in content: %q", reply)
	}
	// A long line, and text of the peer that tries to write log lines of its own.
	s = w.Connect("")
	s.Say("EHLO mail.home.test", "250")
	s.Transaction("anna@home.test", []string{"anna@home.test"}, "Subject: long\r\n\r\n"+strings.Repeat("y", 100_000)+"\r\n")
	harness.Eventually(t, harness.Patience, "the long line arrives whole", func() bool { return len(harness.Bodies(w.Home(), strings.Repeat("y", 100_000))) == 1 })
	s.Say("EHLO \x1b[31mevil\u2028level=ERROR", "5")
	for line := range strings.Lines(w.Log()) {
		if !strings.HasPrefix(line, "time=") || strings.ContainsAny(line, "\x1b\u2028") {
			t.Errorf("a log line that a harness.Stranger wrote: %q", line)
		}
	}
}

func TestAHundredThousandRecipients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := w.Domain("shop.test", w.Good("mx.shop.test"))
	w.Start("")
	before := w.memory()
	c := w.Connect("")
	c.Say("EHLO mail.home.test", "250")
	c.Say("MAIL FROM:<anna@home.test>", "250")
	accepted, refused, ended := 0, 0, false
	const total, step = 100_000, 500
	for n := 0; n < total && !ended; n += step {
		var batch strings.Builder
		for i := range step {
			fmt.Fprintf(&batch, "RCPT TO:<u%d@shop.test>\r\n", n+i)
		}
		if _, err := c.Conn.Write([]byte(batch.String())); err != nil {
			break
		}
		for range step {
			switch reply := c.Read(); {
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
		c.Say("DATA", "354")
		c.Raw("Subject: many\r\n\r\nmany\r\n")
		c.Say(".", "250")
		harness.Eventually(t, harness.Patience, "all accepted recipients get it", func() bool {
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
	w.Send("anna@home.test", "others are served", "anna@home.test")
}

func TestALargestMessageStreamsThrough(t *testing.T) {
	w := newWorld(t)
	w.Domain("shop.test", w.Good("mx.shop.test"))
	p := &sink{}
	p.listen(t, w)
	w.Start("")
	w.Send("anna@home.test", "warm", "a@big.test")
	harness.Eventually(t, harness.Patience, "the sink works", func() bool { return p.messages.Load() == 1 })
	before := w.memory()
	const limit = 150_000_000
	line := strings.Repeat("z", 998) + "\r\n"
	head := "Subject: big\r\n\r\n"
	c := w.Connect("")
	c.Say("EHLO mail.home.test", "250")
	c.Say(fmt.Sprintf("MAIL FROM:<anna@home.test> SIZE=%d", limit), "250")
	c.Say("RCPT TO:<a@big.test>", "250")
	c.Say("DATA", "354")
	chunk := strings.Repeat(line, 100)
	out := bufio.NewWriterSize(c.Conn, 1<<20)
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
	c.Wants("250 2.0.0")
	harness.Eventually(t, 3*harness.Patience, "the message goes on", func() bool {
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
	c.Say("MAIL FROM:<anna@home.test>", "250")
	c.Say("RCPT TO:<a@big.test>", "250")
	c.Say("DATA", "354")
	for sent := 0; sent <= limit; sent += len(chunk) {
		if _, err := out.WriteString(chunk); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprint(out, ".\r\n")
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	c.Wants("552")
	c.Say("NOOP", "250")
}

func TestIdleClientsDoNotKeepOthersFromBeingServed(t *testing.T) {
	w := newWorld(t)
	w.Settings["limits.connections"] = "3000"
	w.Settings["limits.connections_per_client"] = "1000"
	w.Domain("shop.test", partner.Behaviour{})
	w.Start("")
	before := w.memory()
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			c.Close()
		}
	}()
	const clients = 2900
	for i := range clients { // from three addresses, each a third; a third of them in the middle of a handshake or a message
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%3))}, Timeout: harness.Patience}
		c, err := d.Dial("tcp", w.Addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		idle = append(idle, c)
		if i%3 == 1 {
			fmt.Fprint(c, "EHLO idle.example\r\nSTARTTLS\r\n")
		}
	}
	start := time.Now()
	w.Send("anna@home.test", "in spite of the crowd", "bob@shop.test")
	t.Logf("a client among %d idle ones was served in %v", clients, time.Since(start))
	w.Await("bob@shop.test", harness.In("delivered"))
	if grown := w.memory() - before; grown > 200<<20 {
		t.Errorf("%d idle clients cost %d MiB", clients, grown>>20)
	} else {
		t.Logf("%d idle clients cost %d MiB", clients, grown>>20)
	}
	// One address alone cannot take all: its next connection over the limit is turned away, others are not.
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 1)}}
	turnedAway := false
	for range 60 {
		c, err := d.Dial("tcp", w.Addr)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
		_ = c.SetReadDeadline(time.Now().Add(harness.Patience))
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

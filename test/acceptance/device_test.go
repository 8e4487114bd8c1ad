package acceptance

import (
	"strings"
	"testing"

	"postern/test/harness"
)

// Devices of our own say what they like in EHLO; the world's servers do not.
func TestDevicesMayCallThemselvesAnything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["relay.networks"] = `["127.0.0.1/32"]`
	w.Start("")
	for i, name := range []string{"BÜRO-PC", "B\xdcRO-PC", "anna's laptop", "(none)", "", "   ", "scan_01", "10.1.2.3", "localhost.localdomain",
		`a"b`, "<x>", "a; b", "a)\\(b", "\u202eevil", "x\u2028y", strings.Repeat("n", 255)} {
		for _, hello := range []string{"EHLO", "HELO"} {
			c := w.Connect("")
			c.Say(hello+" "+name, "250")
			text := strings.Repeat("i", i+1) + hello
			c.Transaction("anna@home.test", []string{"anna@home.test"}, harness.Message("anna@home.test", []string{"anna@home.test"}, text))
			c.Conn.Close()
			harness.Eventually(t, harness.Patience, text+" arrives", func() bool { return len(harness.Bodies(w.Home(), "about "+text+"\r\n")) > 0 })
			stamp, _, _ := strings.Cut(unfold(harness.Bodies(w.Home(), "about "+text+"\r\n")[0].Data), "\r\nFrom:")
			if strings.Count(stamp, "\r\n") > 0 || !strings.HasPrefix(stamp, "Received: from ") || strings.ContainsAny(stamp, "\u202e\u2028\"\\") {
				t.Errorf("%q: the stamp is %q", name, stamp)
			}
		}
	}
	for _, name := range []string{"BÜRO-PC", "anna's laptop", "(none)", ""} {
		c := w.Connect(harness.Stranger)
		c.Say("EHLO "+name, "501")
		c.Conn.Close()
	}
}

// Scripts of our own write LF alone; a dot that could end the content for somebody is refused, whoever sends it.
func TestBareLineEndsOfOurOwnSideAreMended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["relay.networks"] = `["127.0.0.1/32"]`
	w.Start("")
	send := func(from, content string) string {
		c := w.Connect(from)
		defer c.Conn.Close()
		c.Say("EHLO script.home.test", "250")
		c.Say("MAIL FROM:<anna@home.test>", "250")
		c.Say("RCPT TO:<anna@home.test>", "250")
		c.Say("DATA", "354")
		c.Raw(content + "\r\n.\r\n")
		return c.Read()
	}
	const plain = "Subject: by a script\nX-One: 1\r\n\nbare lines\nand\rmore"
	if got := send("", plain); !strings.HasPrefix(got, "250") {
		t.Fatalf("our own script hears %q", got)
	}
	harness.Eventually(t, harness.Patience, "it arrives", func() bool { return len(harness.Bodies(w.Home(), "bare lines\r\nand\r\nmore")) == 1 })
	if got := send(harness.Stranger, plain); !strings.HasPrefix(got, "554 5.6.0") {
		t.Errorf("a stranger hears %q", got)
	}
	for _, end := range []string{"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r.\n", "\r\n.\r\r\n", "\n\n.\n\n"} {
		if strings.HasSuffix("\r\n"+end, "\r\n.\r\n") {
			continue // the right end
		}
		smuggled := "outer" + end + "MAIL FROM:<smuggled@home.test>\r\nRCPT TO:<anna@home.test>\r\nDATA\r\ninner"
		for _, from := range []string{"", harness.Stranger} {
			if got := send(from, smuggled); !strings.HasPrefix(got, "554 5.6.0") {
				t.Errorf("end %q from %q is answered %q", end, from, got)
			}
		}
	}
	if n := len(harness.Bodies(w.Home(), "inner")); n != 0 {
		t.Errorf("%d smuggled messages arrived", n)
	}
}

func TestSendersAndParametersOfTheFieldAreTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Start("")
	for _, sender := range []string{
		"<SRS1=HHHH=forwarder.example.net==HHHH=TT=origin.example.org=newsletter-bounces+verp-1234567890@far.example>",
		"<taro..yamada.@far.example>", "<root@web_01.far.example>", "<a@shop-.example>",
		"<a@far.example> ENVID=QQ+3d1 RET=HEADERS",
	} {
		c := w.Connect(harness.Stranger)
		c.Say("EHLO far.example", "250")
		c.Say("MAIL FROM:"+sender, "250")
		c.Say("RCPT TO:<anna@home.test> ORCPT=rfc822;anna+2btag@home.test NOTIFY=NEVER,FAILURE", "250")
		c.Conn.Close()
	}
}

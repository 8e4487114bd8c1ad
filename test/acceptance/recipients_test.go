package acceptance

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// peopled is home's server with mailboxes anna and bert alone.
func (w *world) peopled() partner.Behaviour {
	b := w.Good("mail.home.test")
	b.Mailboxes = []string{"anna@home.test", "bert@home.test"}
	return b
}

// soon waits until RCPT is answered so. It asks seldom, for a session is cut off after many refusals.
func soon(t *testing.T, c *harness.Client, to, want string) {
	t.Helper()
	harness.Eventually(t, harness.Patience, to+" hears "+want, func() bool {
		time.Sleep(300 * time.Millisecond)
		return strings.HasPrefix(rcpt(c, to), want)
	})
}

// rcpt says RCPT in a new transaction and returns the reply.
func rcpt(c *harness.Client, to string) string {
	c.Say("RSET", "250")
	c.Say("MAIL FROM:<stranger@world.test>", "250")
	c.Raw("RCPT TO:<" + to + ">\r\n")
	return c.Read()
}

func TestMailToNobodyIsRefusedAtRcpt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Home().Set(w.peopled())
	world := w.Domain("world.test", w.Good("mx.world.test"))
	w.Start("")
	c := w.Connect(harness.Stranger)
	c.Say("EHLO client.world.test", "250")
	for range 2 {
		if got := rcpt(c, "nobody@home.test"); got != "550 5.1.1 there is no such mailbox here\r\n" {
			t.Errorf("nobody: %q", got)
		}
	}
	if got := rcpt(c, "anna@home.test"); !strings.HasPrefix(got, "250") {
		t.Errorf("anna: %q", got)
	}
	c.Say("RSET", "250")
	c.Say("MAIL FROM:<stranger@world.test>", "250")
	c.Say("RCPT TO:<anna@home.test>", "250")
	c.Say("RCPT TO:<nobody@home.test>", "550 5.1.1")
	c.Say("RCPT TO:<bert@home.test>", "250")
	c.Say("DATA", "354")
	c.Raw(harness.Message("stranger@world.test", []string{"anna@home.test"}, "to those who are there"))
	c.Say(".", "250")
	harness.Eventually(t, harness.Patience, "the mail arrives", func() bool { return len(harness.Bodies(w.Home(), "to those who are there")) > 0 })
	if m := harness.Bodies(w.Home(), "to those who are there")[0]; fmt.Sprint(m.To) != "[anna@home.test bert@home.test]" {
		t.Errorf("to %v", m.To)
	}
	own := w.Connect("") // a client of our own hears it as well
	own.Say("EHLO app.home.test", "250")
	if got := rcpt(own, "nobody@home.test"); !strings.HasPrefix(got, "550 5.1.1") {
		t.Errorf("for a client of our own: %q", got)
	}
	log := w.Log()
	if n := strings.Count(log, "recipient-asked"); n != 1 || !strings.Contains(log, "result=unknown") || !strings.Contains(log, "status=5.1.1") {
		t.Errorf("%d questions told in the log", n)
	}
	if n := len(world.Messages()); n > 0 {
		t.Errorf("%d reports went to a stranger", n)
	}
}

// The leg demands proof, and the server has none: it is not asked, and the mail is taken and waits.
func TestNobodyIsAskedAboutOverAnUnprovenChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad := w.Expired("mail.home.test")
	bad.Mailboxes = w.peopled().Mailboxes
	w.Home().Set(bad)
	w.More = []string{fmt.Sprintf("[[domain]]\nname = \"home.test\"\ndeliver_to = [\"mail.home.test:%d\"]\ntrust = \"ca.pem\"\nrequire = \"authenticated\"\n", w.Port)}
	w.Start("")
	c := w.Connect(harness.Stranger)
	c.Say("EHLO client.world.test", "250")
	if got := rcpt(c, "nobody@home.test"); !strings.HasPrefix(got, "250") {
		t.Errorf("nobody: %q", got)
	}
	if got := harness.Forbidden(w.Home(), false); len(got) > 0 {
		t.Errorf("said over a connection that proves nothing: %q", got)
	}
	harness.Eventually(t, harness.Patience, "the log says why nobody is asked", func() bool { return strings.Contains(w.Log(), "cert-expired") })
	w.Home().Set(w.peopled())
	harness.Eventually(t, harness.Patience, "a reload asks again", func() bool {
		w.Signal(syscall.SIGHUP)
		time.Sleep(200 * time.Millisecond)
		return strings.HasPrefix(rcpt(c, "nobody@home.test"), "550 5.1.1")
	})
}

func TestAServerThatCannotBeAskedLosesNoMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	busy := w.peopled()
	busy.Fault = partner.Busy
	w.Home().Set(busy)
	w.Settings["asking.pause"], w.Settings["asking.wait"] = `"1s"`, `"4s"`
	w.Start("")
	c := w.Connect(harness.Stranger)
	c.Say("EHLO client.world.test", "250")
	if got := rcpt(c, "anna@home.test"); !strings.HasPrefix(got, "250") {
		t.Errorf("while the server is busy: %q", got)
	}
	greylists := w.peopled()
	greylists.Replies = map[string]string{"RCPT TO:<new@home.test>": "450 4.2.0 greylisted"}
	w.Home().Set(greylists)
	soon(t, c, "nobody@home.test", "550")
	if got := rcpt(c, "new@home.test"); !strings.HasPrefix(got, "250") {
		t.Errorf("put off: %q", got)
	}
	if n := strings.Count(w.Log(), "could not be asked"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func TestAListOfMailboxes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	list := w.Write("people", []byte("# who is here\nAnna@home.test\n"))
	w.More = []string{fmt.Sprintf("[[domain]]\nname = \"home.test\"\ndeliver_to = [\"mail.home.test:%d\"]\ntrust = \"ca.pem\"\nrecipients = \"people\"\n", w.Port)}
	w.Start("")
	c := w.Connect(harness.Stranger)
	c.Say("EHLO client.world.test", "250")
	for to, want := range map[string]string{"anna@home.test": "250", "anna+shop@home.test": "250", "bert@home.test": "550 5.1.1"} {
		if got := rcpt(c, to); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %s", to, got, want)
		}
	}
	w.Write("people", []byte("anna@home.test\nbert@home.test\n"))
	soon(t, c, "bert@home.test", "250")
	w.Write("people", []byte("anna@home.test\nbert\n"))
	harness.Eventually(t, harness.Patience, "a bad line is told", func() bool { return strings.Contains(w.Log(), "people: line 2: ") })
	if got := rcpt(c, "bert@home.test"); !strings.HasPrefix(got, "250") {
		t.Errorf("after a slip in the list: %q", got)
	}
	if n := len(w.Home().Commands()); n > 0 {
		t.Errorf("the server heard %d commands though there is a list", n)
	}
	if a := w.Run("", "config", "check"); a.Code != 1 || !strings.Contains(a.Stderr, list+": line 2: ") || !strings.Contains(a.Stderr, "domain[0].recipients") {
		t.Errorf("config check: %d %q", a.Code, a.Stderr)
	}
}

// Sessions that try names are ended, as they were.
func TestWhoTriesNamesIsCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Home().Set(w.peopled())
	w.Start("")
	c := w.Connect(harness.Stranger)
	c.Say("EHLO client.world.test", "250")
	c.Say("MAIL FROM:<stranger@world.test>", "250")
	n := 0
	for ; n < 200; n++ {
		c.Raw(fmt.Sprintf("RCPT TO:<n%d@home.test>\r\n", n))
		if got := c.Read(); !strings.HasPrefix(got, "550") {
			break
		}
	}
	if n < 90 || n > 101 {
		t.Errorf("cut off after %d names", n)
	}
	connections := 0
	for _, cmd := range w.Home().Commands() {
		if cmd.Verb == "EHLO" && !cmd.TLS {
			connections++
		}
	}
	if connections > n*2/8+2 {
		t.Errorf("%d connections for %d names", connections, n)
	}
}

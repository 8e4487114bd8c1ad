package acceptance

import (
	"crypto/tls"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"postern/internal/lab/pki"
	"postern/test/harness"
)

// reload writes the configuration and has it read again.
func (w *world) reload() {
	w.T.Helper()
	w.Configure()
	before := strings.Count(w.Log(), `action="reload configuration"`)
	w.Signal(syscall.SIGHUP)
	harness.Eventually(w.T, harness.Patience, "the configuration is read again", func() bool {
		return strings.Count(w.Log(), `action="reload configuration"`) > before
	})
}

// may says MAIL and RCPT to a domain elsewhere and returns the codes.
func may(c *harness.Client) (mail, rcpt string) {
	c.Raw("MAIL FROM:<anna@home.test>\r\n")
	mail = c.Read()[:3]
	c.Raw("RCPT TO:<bob@shop.test>\r\n")
	rcpt = c.Read()[:3]
	c.Say("RSET", "250")
	return mail, rcpt
}

// TestAReloadHoldsForSessionsThatAreOpen: whoever lost its right to relay loses it at the next MAIL.
func TestAReloadHoldsForSessionsThatAreOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Domain("shop.test", w.Good("mx.shop.test"))
	hash := func(password string) string {
		return strings.TrimSpace(w.Run(password+"\n", "config", "hash-password").Stdout)
	}
	people := harness.FreeAddress(t)
	listen := "[[listen]]\nname = \"people\"\nmode = \"submission\"\naddress = \"" + people + "\"\n"
	user := func(name, hash string) string {
		return fmt.Sprintf("[[user]]\nname = %q\npassword_hash = %q\n", name, hash)
	}
	annas, bens, carls := hash("horse"), hash("staple"), hash("battery")
	w.More = append(w.More, listen, user("anna", annas), user("ben", bens), user("carl", carls))
	clients, others := pki.New(w.Now, "Clients"), pki.New(w.Now, "Others")
	w.Write("clients.pem", clients.RootPEM())
	w.Write("others.pem", others.RootPEM())
	w.Settings["relay.client_certificates"] = `"clients.pem"`
	w.Start("")

	byNetwork := w.Connect("")
	byNetwork.Say("EHLO mail.home.test", "250")
	login := func(name, password string) *harness.Client {
		c := harness.Dial(t, people, harness.Stranger)
		c.Wants("220")
		c.Say("EHLO laptop.example", "250")
		c.StartTLS(nil)
		c.Say("EHLO laptop.example", "250")
		c.Say(plain(name, password), "235")
		return c
	}
	certified := func(ca *pki.CA) *harness.Client {
		c := w.Connect(harness.Stranger)
		c.Say("EHLO app.example", "250")
		c.StartTLS(&tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{ca.Issue(pki.Options{Names: []string{"app.example"}}).TLS}})
		c.Say("EHLO app.example", "250")
		return c
	}
	sessions := map[string]*harness.Client{"network": byNetwork, "anna": login("anna", "horse"), "ben": login("ben", "staple"), "carl": login("carl", "battery"),
		"certificate": certified(clients), "other certificate": certified(others)}
	want := func(when string, codes map[string]string) {
		t.Helper()
		for name, c := range sessions {
			mail, rcpt := may(c)
			if got := mail + " " + rcpt; got != codes[name] {
				t.Errorf("%s, %s: %s, want %s", when, name, got, codes[name])
			}
		}
	}
	want("before", map[string]string{"network": "250 250", "anna": "250 250", "ben": "250 250", "carl": "250 250", "certificate": "250 250", "other certificate": "250 550"})

	// The network goes, anna goes, ben has another password, other clients' CA comes.
	w.More = []string{w.More[0], listen, user("ben", hash("other")), user("carl", carls)}
	w.Settings["relay.networks"], w.Settings["relay.client_certificates"] = "[]", `"others.pem"`
	w.Settings["limits.recipients"] = "500" // needs a restart
	w.reload()
	want("after", map[string]string{"network": "250 550", "anna": "530 503", "ben": "530 503", "carl": "250 250", "certificate": "250 550", "other certificate": "250 250"})
	sessions["ben"].Say(plain("ben", "staple"), "535")
	sessions["ben"].Say(plain("ben", "other"), "235")
	want("afterwards", map[string]string{"network": "250 550", "anna": "530 503", "ben": "250 250", "carl": "250 250", "certificate": "250 550", "other certificate": "250 250"})
	if log := w.Log(); !regexp.MustCompile(`msg=warning what=configuration text="limits.recipients: what the file says now holds after a restart"`).MatchString(log) {
		t.Error("nobody says which keys need a restart")
	}
}

// TestAReloadGivesNobodyAnotherTry: wrong passwords before it count after it.
func TestAReloadGivesNobodyAnotherTry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hash := strings.TrimSpace(w.Run("horse\n", "config", "hash-password").Stdout)
	people := harness.FreeAddress(t)
	w.More = append(w.More, "[[listen]]\nname = \"people\"\nmode = \"submission\"\naddress = \""+people+"\"\n",
		fmt.Sprintf("[[user]]\nname = \"anna\"\npassword_hash = %q\n", hash))
	w.Settings["limits.login_failures"] = "2"
	w.Start("")
	try := func(password, code string) {
		t.Helper()
		c := harness.Dial(t, people, harness.Stranger)
		defer c.Conn.Close()
		c.Wants("220")
		c.Say("EHLO laptop.example", "250")
		c.StartTLS(nil)
		c.Say("EHLO laptop.example", "250")
		c.Say(plain("anna", password), code)
	}
	try("a guess", "535")
	w.reload()
	try("another", "535")
	w.reload()
	try("horse", "454")
}

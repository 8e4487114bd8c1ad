package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/test/harness"
	"postern/test/peers"
)

// The recipes of the README and the guide, word for word, with a real Postfix: what stands between a comment
// `<!-- recipe NAME: FILE -->` and the end of the code block below it is that file, or those commands, of that recipe,
// in whichever pages it stands. Only places and addresses are exchanged for the test's own.

// recipe returns the blocks of a recipe by file.
func recipe(t *testing.T, name string) map[string]string {
	t.Helper()
	pages, err := filepath.Glob("../../docs/guide/*.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	marked := regexp.MustCompile("(?s)<!-- recipe " + regexp.QuoteMeta(name) + ": ([^ ]+) -->\n+```[a-z]*\n(.*?)```")
	for _, page := range append([]string{"../../README.md"}, pages...) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range marked.FindAllStringSubmatch(string(text), -1) {
			blocks[m[1]] += m[2]
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("no page has a recipe %q", name)
	}
	return blocks
}

// settings are the arguments of the `postconf` commands in a block; every other line of it but the restart is a
// mistake.
func settings(t *testing.T, block string) (out [][]string) {
	t.Helper()
	line := regexp.MustCompile(`^postconf (-\w+) (?:'([^']*)'|([\w/]+))$`)
	for text := range strings.Lines(block) {
		text, _, _ = strings.Cut(strings.TrimSpace(text), "   #")
		m := line.FindStringSubmatch(strings.TrimSpace(text))
		switch {
		case m != nil:
			out = append(out, []string{m[1], m[2] + m[3]})
		case text != "systemctl restart postfix":
			t.Fatalf("a recipe has a line that is not tried: %q", text)
		}
	}
	return out
}

// kitchen is where a recipe is tried.
type kitchen struct {
	t      *testing.T
	dir    string
	places *strings.Replacer
	sink   *peers.Sink
	ca     *pki.CA
}

func newKitchen(t *testing.T, places ...string) *kitchen {
	dir := t.TempDir()
	k := &kitchen{t: t, dir: dir, sink: peers.NewSink(t), ca: pki.New(time.Now(), "Recipes CA")}
	k.places = strings.NewReplacer(append(places, "/etc/ssl/certs/ca-certificates.crt", filepath.Join(dir, "ca.pem"), "/etc/postern/", dir+"/",
		"/etc/postfix/", dir+"/postfix-", "/var/lib/postern", filepath.Join(dir, "data"))...)
	writeFile(t, filepath.Join(dir, "ca.pem"), string(k.ca.RootPEM()))
	for prefix, host := range map[string]string{"": "gw.example.com", "postfix-": "mail.example.com", "clinic-": "mx.clinic.test"} {
		c := k.ca.Issue(pki.Options{Names: []string{host}})
		writeFile(t, filepath.Join(dir, prefix+"cert.pem"), string(c.CertPEM))
		writeFile(t, filepath.Join(dir, prefix+"key.pem"), string(c.KeyPEM))
	}
	bind(t, "/etc/hosts", "127.0.0.1 localhost\n127.0.0.10 gw.example.com\n127.0.0.5 mail.example.com\n")
	return k
}

// read returns a file of the kitchen.
func (k *kitchen) read(name string) []byte {
	k.t.Helper()
	content, err := os.ReadFile(filepath.Join(k.dir, name))
	if err != nil {
		k.t.Fatal(err)
	}
	return content
}

// gateway starts the gateway with a recipe's configuration and its rules.
func (k *kitchen) gateway(blocks map[string]string, addr string) *gateway {
	k.t.Helper()
	peers.Exim(k.t, peers.Server{Hostname: "mx.clinic.test", IP: "127.0.0.30", Port: 2525, Domains: []string{"clinic.test"},
		Sink: k.sink.Addr, Cert: k.read("clinic-cert.pem"), Key: k.read("clinic-key.pem")})
	resolver := peers.Unbound(k.t, "clinic.test. MX 10 mx.clinic.test.\nmx.clinic.test. A 127.0.0.30\nmail.example.com. A 127.0.0.5\n")
	config := k.places.Replace(blocks["postern.toml"]) + `
[dns]
servers = ["` + resolver + `"]
[delivery]
port = 2525
deny_networks = []
[trust]
roots = "ca.pem"
`
	g := &gateway{binary: harness.Binary(), config: filepath.Join(k.dir, "postern.toml"), addr: addr}
	writeFile(k.t, g.config, config)
	g.postern(k.t, "config", "check")
	g.serve(k.t)
	k.t.Cleanup(func() {
		g.stop(k.t)
		if k.t.Failed() {
			k.t.Logf("what the gateway said:\n%s", g.log)
		}
	})
	g.apply(k.t, recipe(k.t, "in front of Postfix")["rules.toml"])
	return g
}

// bothWays sends a mail out through Postfix and one in from the world, and wants both to arrive over TLS.
func (k *kitchen) bothWays(g *gateway, postfix, world string) {
	k.t.Helper()
	send(k.t, postfix, "anna@example.com", "dr@clinic.test", "outward")
	k.sink.Wait(k.t, patience, peers.With("dr@clinic.test", "outward"))
	if d := g.trace(k.t, "dr@clinic.test", in("delivered")); d.Reached != "authenticated" || d.Requires != "authenticated" {
		k.t.Errorf("the mail to the partner reached %q and required %q", d.Reached, d.Requires)
	}
	send(k.t, world, "dr@clinic.test", "anna@example.com", "inward", "--local-interface", "127.0.0.30")
	k.sink.Wait(k.t, patience, peers.With("anna@example.com", "inward"))
	if d := g.trace(k.t, "anna@example.com", in("delivered")); d.Reached == "plaintext" {
		k.t.Errorf("the mail to Postfix went without TLS: %+v", d)
	}
}

func TestTheRecipeInFrontOfPostfixWorks(t *testing.T) {
	if !aloneOnItsNetwork(t) {
		return
	}
	// Two machines with a port 25 each are two addresses here.
	k := newKitchen(t, `address = ":25"`, `address = "127.0.0.10:25"`, "10.0.0.5", "127.0.0.5")
	blocks := recipe(t, "in front of Postfix")
	g := k.gateway(blocks, "127.0.0.10:25")
	host, port, _ := strings.Cut(k.sink.Addr, ":")
	toSink := [][]string{{"-e", "relay_transport = relay:[" + host + "]:" + port}, {"-P", "relay/unix/smtp_tls_security_level=none"}}
	peers.Postfix(t, peers.Server{Hostname: "mail.example.com", IP: "127.0.0.5", Port: 25, Domains: []string{"example.com"},
		Sink: k.sink.Addr, Postconf: append(toSink, settings(t, k.places.Replace(blocks["postconf"]))...)})
	k.bothWays(g, "127.0.0.5:25", "127.0.0.10:25")
}

func TestTheRecipeForBothOnOneMachineWorks(t *testing.T) {
	if !aloneOnItsNetwork(t) {
		return
	}
	k := newKitchen(t)
	blocks := recipe(t, "both on one machine")
	g := k.gateway(blocks, "127.0.0.1:25")
	peers.Postfix(t, peers.Server{Hostname: "mail.example.com", IP: "127.0.0.1", Port: 10025, Domains: []string{"example.com"},
		Sink: k.sink.Addr, Cert: k.read("postfix-cert.pem"), Key: k.read("postfix-key.pem"),
		Postconf: settings(t, blocks["postconf"]), ListensAtPort25: true})
	k.bothWays(g, "127.0.0.1:10025", "127.0.0.1:25")
}

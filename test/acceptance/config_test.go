package acceptance

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/pki"
	"postern/test/harness"
)

// finding is a line of `config check --json`.
type finding struct {
	File, Key, Severity, Message, Hint string
	Line                               int
}

// findings checks the configuration and returns what is found, with the exit code.
func (w *world) findings() (list []finding, code int) {
	w.T.Helper()
	a := w.Run("", "config", "check", "--json")
	for line := range strings.Lines(a.Stdout) {
		var f finding
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			w.T.Errorf("%v: %s", err, line)
		}
		if f.File == "" || f.Message == "" || f.Severity != "error" && f.Severity != "warning" {
			w.T.Errorf("a finding without its words: %s", line)
		}
		list = append(list, f)
	}
	return list, a.Code
}

// configCase is a fault of a configuration.
type configCase struct {
	name    string
	change  func(w *world)
	key     string // of the finding
	words   string // in its message
	fatal   bool   // check fails
	refused bool   // serve does not start
}

func set(key, value string) func(*world) { return func(w *world) { w.Settings[key] = value } }

func more(text string) func(*world) { return func(w *world) { w.More = append(w.More, text) } }

func both(list ...func(*world)) func(*world) {
	return func(w *world) {
		for _, one := range list {
			one(w)
		}
	}
}

func file(name, content string, mode os.FileMode) func(*world) {
	return func(w *world) {
		if err := os.Chmod(w.Write(name, []byte(content)), mode); err != nil {
			w.T.Fatal(err)
		}
	}
}

var oidcOn = both(set("oidc.issuer", `"https://login.test"`), set("oidc.client_id", `"x"`), set("admin.listen", `"127.0.0.1:0"`))

var reportsOn = both(set("tlsrpt.from", `"tls@home.test"`), set("tlsrpt.dkim", `{ domain = "home.test", selector = "s1", key = "dkim.pem" }`))

func port(w *world) string {
	_, p, err := net.SplitHostPort(w.Addr)
	if err != nil {
		w.T.Fatal(err)
	}
	return p
}

// configCases are what an administrator does wrong.
func configCases() []configCase {
	return []configCase{
		{name: "nothing", change: func(*world) {}},
		{name: "syntax", change: set("relay.networks", `["10.0.0.0/8"`), words: "not TOML", fatal: true, refused: true},
		{name: "an unknown key", change: set("relay.network", `"10.0.0.0/8"`), key: "relay.network", words: "unknown key", fatal: true, refused: true},
		{name: "an address as hostname", change: set("hostname", `"192.0.2.1"`), key: "hostname", words: "not an address", fatal: true, refused: true},
		{name: "a label as hostname", change: set("hostname", `"mail"`), key: "hostname", words: "single label"},
		{name: "localhost", change: set("hostname", `"localhost"`), key: "hostname", words: "single label"},
		{name: "an open relay", change: set("relay.networks", `["0.0.0.0/0"]`), key: "relay.networks", words: "open relay", fatal: true},
		{name: "an open relay by IPv6", change: set("relay.networks", `["127.0.0.0/8", "::/0"]`), key: "relay.networks", words: "open relay", fatal: true},
		{name: "host bits", change: set("relay.networks", `["10.1.2.3/8"]`), key: "relay.networks[0]", words: "means all of 10.0.0.0/8", fatal: true},
		{name: "public CAs of clients", key: "relay.client_certificates", words: "public CA", fatal: true, change: func(w *world) {
			text, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
			if err != nil {
				w.T.Skip("no public roots on this machine")
			}
			w.Write("public.pem", text)
			w.Settings["relay.client_certificates"] = `"public.pem"`
		}},
		{name: "a loop of our own domain", key: "domain[1].deliver_to[0]", words: "a loop", fatal: true, change: func(w *world) {
			w.More = append(w.More, fmt.Sprintf("[[domain]]\nname = \"loop.test\"\ndeliver_to = [%q, \"mail.home.test\"]\n", w.Addr))
		}},
		{name: "a loop by name", key: "domain[1].deliver_to[0]", words: "own name", fatal: true, change: func(w *world) {
			w.More = append(w.More, "[[domain]]\nname = \"loop.test\"\ndeliver_to = [\"gw.home.test:"+port(w)+"\"]\n")
		}},
		{name: "a loop of a route to localhost", key: "route[0].to[0]", words: "a loop", fatal: true, change: func(w *world) {
			free := harness.FreeAddress(w.T)
			_, p, _ := net.SplitHostPort(free)
			w.More = append(w.More, "[[listen]]\nname = \"all\"\naddress = \":"+p+"\"\n", "[[route]]\nmatch = [\"*\"]\nto = [\"localhost:"+p+"\"]\n")
		}},
		{name: "a key of reports that is not there", change: both(reportsOn, set("tlsrpt.organization", `"Home"`)), key: "tlsrpt.dkim.key", words: "no such file", fatal: true, refused: true},
		{name: "a key of reports that is none", change: both(reportsOn, set("tlsrpt.organization", `"Home"`), file("dkim.pem", "x", 0o600)), key: "tlsrpt.dkim.key", words: "no key in PEM form", fatal: true, refused: true},
		{name: "a key of reports that nothing uses", change: reportsOn},
		{name: "an OIDC secret that is not there", change: both(oidcOn, set("oidc.client_secret_file", `"secret"`)), key: "oidc.client_secret_file", words: "no such file", fatal: true, refused: true},
		{name: "an empty OIDC secret", change: both(oidcOn, set("oidc.client_secret_file", `"secret"`), file("secret", " \n", 0o600)), key: "oidc.client_secret_file", words: "is empty", fatal: true, refused: true},
		{name: "an OIDC secret that is a folder", change: both(oidcOn, set("oidc.client_secret_file", `"."`)), key: "oidc.client_secret_file", words: "is a directory", fatal: true, refused: true},
		{name: "an OIDC secret for everybody", change: both(oidcOn, set("oidc.client_secret_file", `"secret"`), file("secret", "x", 0o644)), key: "oidc.client_secret_file", words: "by everyone", fatal: true},
		{name: "a claim that is none", change: both(oidcOn, set("oidc.claim", `"mail"`)), key: "oidc.claim", words: "is no claim", fatal: true, refused: true},
		{name: "a console for everybody", change: set("admin.listen", `"0.0.0.0:0"`), key: "admin.listen", words: "TLS is off", fatal: true},
		{name: "no resolver", change: set("dns.servers", `["resolver.test"]`), key: "dns.servers[0]", words: "not the address", fatal: true, refused: true},
		{name: "a resolver that is never asked", change: set("dns.servers", `["127.0.0.1:9", "192.0.2.53"]`), key: "dns.servers", words: "never asked"},
		{name: "a source that this machine does not have", change: set("delivery.source", `["127.0.0.1", "2001:db8::77"]`), key: "delivery.source[1]", words: "cannot come from 2001:db8::77", fatal: true, refused: true},
		{name: "a route's source that this machine does not have", change: more("[[route]]\nmatch = [\"p.test\"]\nsource = [\"192.0.2.77\"]\n"), key: "route[0].source[0]", words: "cannot come from 192.0.2.77", fatal: true, refused: true},
		{name: "two sources of a family", change: set("delivery.source", `["127.0.0.1", "127.0.0.2"]`), key: "delivery.source[1]", words: "of the same family", fatal: true, refused: true},
		{name: "a source that is a zone", change: set("delivery.source", `["fe80::1%lo"]`), key: "delivery.source[0]", words: "not an address", fatal: true, refused: true},
		{name: "a load balancer that may relay", change: func(w *world) {
			w.Settings["relay.networks"] = `["127.0.0.0/8"]`
			w.More = append([]string{"proxy = [\"127.0.0.5/32\"]\n"}, w.More...)
		}, key: "listen[0].proxy[0]", words: "may relay"},
		{name: "no certificate file", change: set("tls.certificates", `[{cert = "gone.pem", key = "gw.key"}]`), key: "tls.certificates[0]", words: "no such file", fatal: true, refused: true},
		{name: "a key of another certificate", change: both(func(w *world) { w.Certificate("other", "other.test") }, set("tls.certificates", `[{cert = "gw.pem", key = "other.key"}]`)),
			key: "tls.certificates[0]", words: "does not match", fatal: true, refused: true},
		{name: "a key for everybody", change: func(w *world) {
			if err := os.Chmod(filepath.Join(w.Dir, "gw.key"), 0o644); err != nil {
				w.T.Fatal(err)
			}
		}, key: "tls.certificates[0]", words: "by everyone", fatal: true, refused: true},
		{name: "an expired certificate", key: "tls.certificates[0]", words: "expired on", change: func(w *world) {
			c := w.CA.Issue(pki.Options{Names: []string{"gw.home.test"}, NotAfter: w.Now.AddDate(0, 0, -2)})
			w.Write("gw.pem", c.CertPEM)
			w.Write("gw.key", c.KeyPEM)
		}},
		{name: "a broken client certificate", change: both(file("c.pem", "x", 0o600), set("delivery.client_certificate", `"c.pem"`), set("delivery.client_key", `"gw.key"`)),
			key: "delivery.client_certificate", words: "certificate", fatal: true, refused: true},
		{name: "roots that are not there", change: set("trust.roots", `"gone.pem"`), key: "trust.roots", words: "no such file", fatal: true, refused: true},
		{name: "a private CA that is not there", change: more("[[domain]]\nname = \"b.test\"\ndeliver_to = [\"m.test\"]\ntrust = \"gone.pem\"\n"), key: "domain[1].trust", words: "no such file", fatal: true},
		{name: "clients' CAs that are not there", change: set("relay.client_certificates", `"gone.pem"`), key: "relay.client_certificates", words: "no such file", fatal: true},
		{name: "a file as data folder", change: both(file("spool", "", 0o600), set("data", `"spool"`)), key: "data", words: "not a folder", fatal: true, refused: true},
		{name: "a data folder below a file", change: both(file("spool", "", 0o600), set("data", `"spool/data"`)), key: "data", words: "not a folder", fatal: true, refused: true},
		{name: "a data folder too deep for a socket", change: set("data", `"`+strings.Repeat("d", 90)+`"`), key: "data", words: "too long", fatal: true, refused: true},
		{name: "listeners that overlap", key: "listen[1].address", words: "overlaps", fatal: true, refused: true, change: func(w *world) {
			w.More = append(w.More, "[[listen]]\nname = \"all\"\naddress = \":"+port(w)+"\"\n")
		}},
		{name: "a console that overlaps", key: "admin.listen", words: "overlaps", fatal: true, refused: true, change: func(w *world) { w.Settings["admin.listen"] = fmt.Sprintf("%q", w.Addr) }},
		{name: "a listener at an address of nobody", change: more("[[listen]]\nname = \"far\"\naddress = \"192.0.2.77:2525\"\n"), key: "listen[1].address", words: "cannot listen", fatal: true, refused: true},
		{name: "a web listener without a certificate", change: both(set("tls.certificates", "[]"), more("[[listen]]\nname = \"web\"\nmode = \"web\"\naddress = \"127.0.0.1:0\"\n")),
			key: "listen[1]", words: "needs a certificate", fatal: true, refused: true},
		{name: "a web listener for nothing", change: both(set("tls.partner_page", "false"), more("[[listen]]\nname = \"web\"\nmode = \"web\"\naddress = \"127.0.0.1:0\"\n")), key: "listen[1].mode", words: "nothing is served"},
		{name: "a policy nobody serves", change: func(w *world) { w.policy(`{ mode = "enforce" }`) }, key: "domain[0].sts", words: "no listener has mode"},
		{name: "a policy under a name without a certificate", key: "domain[0].sts", words: "no certificate is for mta-sts.home.test", change: func(w *world) {
			w.policy(`{ mode = "enforce" }`)
			w.More = append(w.More, "[[listen]]\nname = \"web\"\nmode = \"web\"\naddress = \"127.0.0.1:0\"\n")
		}},
		{name: "a policy that names others", change: func(w *world) { w.policy(`{ mode = "enforce", mx = ["mx.home.test"] }`) }, key: "domain[0].sts.mx", words: "does not name gw.home.test"},
		{name: "a policy that is none", change: func(w *world) { w.policy(`{ mode = "on" }`) }, key: "domain[0].sts.mode", words: "want enforce", fatal: true, refused: true},
		{name: "a next key that is not there", change: set("tls.next_keys", `["gone.pem"]`), key: "tls.next_keys[0]", words: "no such file", fatal: true},
		{name: "a next key that is none", change: both(set("tls.next_keys", `["next.pem"]`), file("next.pem", "x", 0o600)), key: "tls.next_keys[0]", words: "neither a public key", fatal: true},
		{name: "a next key for everybody", change: func(w *world) {
			w.Certificate("next", "gw.home.test")
			w.Settings["tls.next_keys"] = `["next.key"]`
			if err := os.Chmod(filepath.Join(w.Dir, "next.key"), 0o644); err != nil {
				w.T.Fatal(err)
			}
		}, key: "tls.next_keys[0]", words: "by everyone", fatal: true},
		{name: "a user nobody knows", change: set("process.user", `"nobody-of-this-name"`), key: "process.user", words: "nobody-of-this-name", fatal: true, refused: true},
	}
}

// TestConfigLaw: what serve refuses, check refuses. It is the law of checking, and that what is dangerous is named,
// over what administrators do wrong. Where serve does not start for such a reason, systemd is told not to try again.
func TestConfigLaw(t *testing.T) {
	t.Parallel()
	for _, c := range configCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Settings["delivery.deny_networks"] = `["127.0.0.0/8"]`
			w.Settings["hostname"] = `"gw.home.test"`
			c.change(w)
			w.Configure()
			list, code := w.findings()
			if fatal := code == 1; fatal != c.fatal || code > 1 {
				t.Errorf("exit code %d: %+v", code, list)
			}
			found, fatal := false, 0
			for _, f := range list {
				if f.Severity == "error" {
					fatal++
				}
				if f.Key != c.key || !strings.Contains(f.Message, c.words) || c.words == "" {
					continue
				}
				found = true
				if f.Hint == "" && !strings.Contains(f.Message, "write") || (f.Severity == "error") != c.fatal || f.Line == 0 && c.key != "" {
					t.Errorf("it says too little: %+v", f)
				}
			}
			if !found && c.words != "" || c.words == "" && fatal > 0 || c.fatal && fatal == 0 {
				t.Errorf("found %+v", list)
			}
			text := w.Run("", "config", "check")
			if text.Code != code || c.fatal && !strings.Contains(text.Stderr, "hint:") && !strings.Contains(text.Stderr, "write") || !c.fatal && !strings.Contains(text.Stdout, ": good") {
				t.Errorf("for people: code %d\n%s%s", text.Code, text.Stdout, text.Stderr)
			}

			serves := w.Serves()
			defer w.Stop()
			if serves == c.refused {
				t.Fatalf("serves: %v\n%s", serves, w.Log())
			}
			if serves {
				if c.fatal {
					harness.Eventually(t, harness.Patience, "the danger is logged", func() bool { return strings.Contains(w.Log(), "level=WARN") })
				}
				return
			}
			if got := w.Process.Cmd.ProcessState.ExitCode(); got != 78 && c.name != "a listener at an address of nobody" {
				t.Errorf("serve ended with %d:\n%s", got, w.Log())
			}
			if !strings.Contains(w.Log(), "hint:") {
				t.Errorf("serve gives no hint:\n%s", w.Log())
			}
		})
	}
}

// TestConfigCheckIsMadeAsTheGatewaysUser: what root may read says nothing of what the gateway may.
func TestConfigCheckIsMadeAsTheGatewaysUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("becoming another user needs root")
	}
	w := newWorld(t)
	w.Settings["process.user"] = `"nobody"`
	w.Settings["admin.listen"] = `""`
	w.Configure()
	for dir := w.Dir; dir != os.TempDir() && len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mode := func(mode os.FileMode, files ...string) {
		t.Helper()
		for _, f := range files {
			if err := os.Chmod(filepath.Join(w.Dir, f), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	mode(0o644, "ca.pem", "gw.pem", "postern.toml")
	data := filepath.Join(w.Dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if a := w.Run("", "config", "check"); a.Code != 1 || !strings.Contains(a.Stderr, "process.user: "+data+" belongs to user root, not to nobody") {
		t.Errorf("a data folder of root: code %d\n%s", a.Code, a.Stderr)
	}
	if out, err := exec.Command("chown", "nobody", data).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a := w.Run("", "config", "check")
	if a.Code != 1 || !strings.Contains(a.Stderr, "gw.key: permission denied (as user nobody)") || !strings.Contains(a.Stderr, "chgrp ") ||
		!strings.Contains(a.Stderr, "chmod 640 "+filepath.Join(w.Dir, "gw.key")) {
		t.Errorf("a key of root: code %d\n%s", a.Code, a.Stderr)
	}
	serve := w.Launch() // root opens the sockets before it becomes the user, so an open port says nothing
	select {
	case <-serve.Ended:
	case <-time.After(harness.Patience):
		_ = serve.Cmd.Process.Kill() // reported below
		<-serve.Ended
	}
	if serve.Cmd.ProcessState.ExitCode() != 78 || !strings.Contains(w.Log(), "chmod 640") {
		t.Errorf("serve: %v\n%s", serve.Cmd.ProcessState, w.Log())
	}
	group, err := exec.Command("id", "-gn", "nobody").Output()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("chgrp", strings.TrimSpace(string(group)), filepath.Join(w.Dir, "gw.key")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	mode(0o640, "gw.key")
	if a := w.Run("", "config", "check"); a.Code != 0 {
		t.Errorf("what the hint says does not help: code %d\n%s", a.Code, a.Stderr)
	}
	mode(0o600, "postern.toml")
	if a := w.Run("", "config", "check"); a.Code != 1 || !strings.Contains(a.Stderr, "a reload could not read the configuration") {
		t.Errorf("a configuration of root: code %d\n%s", a.Code, a.Stderr)
	}
}

// TestConfigCheckKnowsTheSocketUnit: systemd opens what the unit names, not what the configuration does.
func TestConfigCheckKnowsTheSocketUnit(t *testing.T) {
	w := newWorld(t)
	w.More = append(w.More, "[[listen]]\nname = \"people\"\naddress = \"127.0.0.1:587\"\nrequire_tls = true\n")
	w.Configure()
	units := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(units, "sockets.target.wants"), 0o755), os.Symlink("../postern.socket", filepath.Join(units, "sockets.target.wants", "postern.socket")),
		os.WriteFile(filepath.Join(units, "postern.socket"), []byte("[Socket]\nListenStream="+w.Addr+"\nListenStream=2626\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SYSTEMD_UNIT_PATH", units)
	a := w.Run("", "config", "check")
	if a.Code != 0 || !strings.Contains(a.Stderr, "postern.socket opens [::]:2626, which no listener names") || !strings.Contains(a.Stderr, "postern.socket does not open 127.0.0.1:587") {
		t.Errorf("code %d\n%s", a.Code, a.Stderr)
	}
}

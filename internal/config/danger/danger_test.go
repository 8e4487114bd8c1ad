package danger

import (
	"slices"
	"strings"
	"testing"

	"postern/internal/config"
)

func TestDangersAreNamed(t *testing.T) {
	relay := func(networks string) string {
		return "[relay]\nrequire = \"plaintext\"\nnetworks = [" + networks + "]\n"
	}
	domain := func(more string) string {
		return "[[domain]]\nname = \"home.test\"\ndeliver_to = [\"m.home.test\"]\n" + more + "\n"
	}
	acme := func(more string) string {
		return "[tls.acme]\ndirectory = \"https://ca.test/dir\"\nagree = true\n" + more + "\n"
	}
	listen := func(more string) string { return "[[listen]]\naddress = \":25\"\n" + more + "\n" }
	web := "[[listen]]\nmode = \"web\"\n" + certificate
	for _, tc := range []struct {
		name, text string
		want       string // keys, with "!" before those that are fatal
	}{
		{"nothing", "", ""},
		{"private networks", relay(`"10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8", "fe80::/10", "::1/128", "::ffff:10.0.0.0/104"`), ""},
		{"everybody", relay(`"0.0.0.0/0"`), "!relay.networks"},
		{"everybody by IPv6", relay(`"10.0.0.0/8", "::/0"`), "!relay.networks"},
		{"everybody in two halves", relay(`"0.0.0.0/1", "128.0.0.0/1"`), "!relay.networks"},
		{"everybody as mapped addresses", relay(`"::ffff:0.0.0.0/96"`), "!relay.networks"},
		{"half of everybody", relay(`"10.0.0.0/8", "128.0.0.0/1"`), "!relay.networks[1]"},
		{"a country", relay(`"81.0.0.0/8"`), "!relay.networks[0]"},
		{"all of today's IPv6", relay(`"2000::/3"`), "!relay.networks[0]"},
		{"more than is private", relay(`"172.0.0.0/8", "192.0.0.0/7"`), "!relay.networks[0] !relay.networks[1]"},
		{"a provider", relay(`"81.2.0.0/15", "2a02:8000::/24"`), "relay.networks[0] relay.networks[1]"},
		{"a public host without TLS", relay(`"81.2.3.4/32", "2a02:8000::5/128"`), "relay.networks[0] relay.networks[1]"},
		{"a public host with TLS", strings.Replace(relay(`"81.2.3.4/32"`), "plaintext", "encrypted", 1) + certificate, ""},
		{"host bits", relay(`"10.1.2.3/8", "10.1.2.3/32"`) + "[[relay_client]]\nnetworks = [\"10.9.9.9/16\"]\nsenders = [\"*\"]\n" +
			"[delivery]\ndeny_networks = [\"127.0.0.1/8\", \"fe80::1/10\"]\nrevocation_networks = [\"10.1.1.1/24\"]\n[policies]\nnetworks = [\"10.2.1.1/24\"]\n",
			"!relay.networks[0] !relay_client[0].networks[0] !delivery.deny_networks[0] !delivery.deny_networks[1] !delivery.revocation_networks[0] !policies.networks[0]"},
		{"a load balancer", listen("proxy = [\"192.0.2.10/32\", \"2001:db8::a/128\", \"81.2.3.4/32\"]") + relay(`"10.0.0.0/8"`), ""},
		{"load balancers of everybody", listen("proxy = [\"0.0.0.0/0\"]"), "listen[0].proxy"},
		{"load balancers of everybody in two halves", listen("proxy = [\"::/1\", \"8000::/1\"]"), "listen[0].proxy"},
		{"load balancers of everybody, and clients who relay", listen("proxy = [\"::ffff:0.0.0.0/96\", \"::/0\"]") + relay(`"10.0.0.0/8"`), "!listen[0].proxy !listen[0].proxy"},
		{"load balancers at a provider", listen("proxy = [\"81.2.0.0/15\", \"2a02:8000::/24\"]"), "listen[0].proxy[0] listen[0].proxy[1]"},
		{"load balancers who relay", listen("proxy = [\"192.0.2.1/32\", \"10.0.0.1/32\", \"::ffff:10.9.0.0/112\"]") + relay(`"10.0.0.0/8", "fd00::/8"`), "listen[0].proxy[1] listen[0].proxy[2]"},
		{"load balancers of web clients", "hostname = \"gw.home.test\"\n[[listen]]\nmode = \"web\"\nproxy = [\"10.0.0.1/32\"]\n" + certificate + relay(`"10.0.0.0/8"`), ""},
		{"load balancers of all web clients", "hostname = \"gw.home.test\"\n[[listen]]\nmode = \"web\"\nproxy = [\"0.0.0.0/0\"]\n" + certificate + relay(`"10.0.0.0/8"`), "listen[0].proxy"},
		{"load balancers with host bits", listen("proxy = [\"192.0.2.10/24\"]"), "!listen[0].proxy[0]"},
		{"a single label", "hostname = \"mail\"", "hostname"},
		{"localhost", "hostname = \"localhost\"", "hostname"},
		{"a name of this machine", "hostname = \"gw.localdomain\"", "hostname"},
		{"the name of an example", "hostname = \"gw.example.com\"", "hostname"},
		{"another name to say", "[delivery]\nhelo = \"out.local\"", "delivery.helo"},
		{"a console for everybody", "[admin]\nlisten = \":8025\"", "!admin.listen"},
		{"a console in the house", "[admin]\nlisten = \"10.0.0.1:8025\"", "!admin.listen"},
		{"a console at a name", "[admin]\nlisten = \"gw.test:8025\"", "!admin.listen"},
		{"figures for everybody", "[admin]\nlisten = \"0.0.0.0:8025\"\nconsole = false", "admin.listen"},
		{"a console over TLS", "[admin]\nlisten = \":8025\"\ntls = true" + certificate, ""},
		{"a console at home", "[admin]\nlisten = \"[::1]:8025\"", ""},
		{"TLS demanded of the world", "[[listen]]\nrequire_tls = true" + certificate, "listen[0].require_tls"},
		{"the world at a port for people", "[[listen]]\naddress = \":587\"", "listen[0].mode"},
		{"TLS at once at 25", "[[listen]]\naddress = \":25\"\nmode = \"smtps\"" + certificate, "listen[0].mode"},
		{"no TLS at once at 465", "[[listen]]\naddress = \":465\"" + certificate, "listen[0].mode"},
		{"mail for ourselves by strangers' words", "[delivery]\ndeny_networks = [\"::1/128\"]", "delivery.deny_networks"},
		{"a route of our own domain", "[[domain]]\nname = \"a.test\"\ndeliver_to = [\"m.test\"]\n[[route]]\nmatch = [\"b.test\", \"a.test\"]\nto = [\"c.test\"]", "route[0].match[1]"},
		{"a policy that is served", "hostname = \"gw.home.test\"\n" + web + domain("sts = { mode = \"testing\" }"), ""},
		{"a policy nobody serves", "hostname = \"gw.home.test\"\n" + domain("sts = { mode = \"enforce\" }"), "domain[0].sts"},
		{"a policy that names others", "hostname = \"gw.home.test\"\n" + web + domain("sts = { mode = \"enforce\", mx = [\"mx.home.test\"] }"), "domain[0].sts.mx"},
		{"a policy that names others and is taken back", "hostname = \"gw.home.test\"\n" + web + domain("sts = { mode = \"none\" }"), ""},
		{"a policy with a wildcard", "hostname = \"gw.home.test\"\n" + web + domain("sts = { mode = \"enforce\", mx = [\"*.home.test\"] }"), ""},
		{"a policy for an hour", "hostname = \"gw.home.test\"\n" + web + domain("sts = { mode = \"enforce\", max_age = \"1h\" }"), "domain[0].sts.max_age"},
		{"a policy for an hour, to try", "hostname = \"gw.home.test\"\n" + web + domain("sts = { mode = \"testing\", max_age = \"1h\" }"), ""},
		{"a web listener for nothing", "hostname = \"gw.home.test\"\n" + web + "partner_page = false\n" + domain(""), "listen[0].mode"},
		{"a web listener for partners", "hostname = \"gw.home.test\"\n" + web + domain(""), ""},
		{"a CA that comes to nobody", "hostname = \"gw.home.test\"\n" + acme(""), "!tls.acme.challenges"},
		{"a CA that comes to nobody by either way", "hostname = \"gw.home.test\"\n" + acme("challenges = [\"tls-alpn-01\", \"http-01\"]"), "!tls.acme.challenges !tls.acme.challenges"},
		{"a CA at port 80", "hostname = \"gw.home.test\"\n[[listen]]\nmode = \"acme\"\n" + acme(""), ""},
		{"a CA at another port", "hostname = \"gw.home.test\"\n[[listen]]\nmode = \"acme\"\naddress = \":8080\"\n" + acme(""), "listen[0].address"},
		{"a CA at port 443", "hostname = \"gw.home.test\"\n[[listen]]\nmode = \"web\"\n" + acme(""), ""},
		{"a CA at one port of two", "hostname = \"gw.home.test\"\n[[listen]]\nmode = \"web\"\n" + acme("challenges = [\"tls-alpn-01\", \"http-01\"]"), "tls.acme.challenges"},
		{"a port for no CA", "hostname = \"gw.home.test\"\n[[listen]]\nmode = \"acme\"\n" + certificate, "listen[0].mode"},
		{"a certificate for another", "hostname = \"gw.home.test\"\n[[listen]]\nmode = \"acme\"\n" + acme("names = [\"mx.home.test\"]"), "tls.acme.names"},
		{"a web listener elsewhere", "hostname = \"gw.home.test\"\n[[listen]]\nmode = \"web\"\naddress = \":8443\"\n" + certificate + domain("sts = { mode = \"testing\" }"), "listen[0].address"},
		{"mail at the port for policies", "[[listen]]\nmode = \"smtps\"\naddress = \":443\"\n" + certificate, "listen[0].mode"},
		{"a delay nobody hears of", "[delivery]\nlifetime = \"1h\"\ndelay_notice = \"1h\"", "delivery.delay_notice"},
		{"root for good", "[process]\nuser = \"root\"", "process.user"},
	} {
		c, err := parse(tc.text)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var got []string
		for _, f := range Of(c) {
			key := f.Key
			if f.Fatal {
				key = "!" + key
			}
			if f.What == "" || f.Hint == "" {
				t.Errorf("%s: %+v says not all", tc.name, f)
			}
			got = append(got, key)
		}
		if !slices.Equal(got, strings.Fields(tc.want)) {
			t.Errorf("%s: %q, want %s", tc.name, got, tc.want)
		}
	}
}

func parse(text string) (*config.Config, error) {
	return config.Parse("t.toml", "/etc/postern", "gw.test", []byte(text))
}

const certificate = "\n[tls]\ncertificates = [{cert = \"c.pem\", key = \"k.pem\"}]\n"

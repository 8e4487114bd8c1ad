package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/internal/platform/passhash"
)

func parse(text string) (*Config, error) {
	return Parse("t.toml", "/etc/postern", "gw.test", []byte(text))
}

const certificate = "\n[tls]\ncertificates = [{cert = \"c.pem\", key = \"k.pem\"}]\n"

func TestAnEmptyFileIsAGatewayThatListensOnPort25(t *testing.T) {
	c, err := parse("")
	if err != nil {
		t.Fatal(err)
	}
	want := []Listen{{Address: ":25", Mode: ModeSMTP, Name: "smtp:25"}}
	if diff := cmp.Diff(want, c.Listen); diff != "" {
		t.Error(diff)
	}
	if c.Hostname.String() != "gw.test" || c.Postmaster.String() != "postmaster@gw.test" || c.Delivery.Helo != c.Hostname {
		t.Errorf("hostname %s, postmaster %s, helo %s", c.Hostname, c.Postmaster, c.Delivery.Helo)
	}
	if c.Socket() != "/var/lib/postern/postern.sock" {
		t.Errorf("socket %s", c.Socket())
	}
}

func TestValuesAreRead(t *testing.T) {
	c, err := parse(`
hostname = "GW.Example.COM."
data = "spool"
[[listen]]
mode = "submission"
[[listen]]
address = "[::1]:2465"
mode = "smtps"
name = "own"
[tls]
certificates = [{cert = "c.pem", key = "/k.pem"}]
[[user]]
name = "alice"
password_hash = "` + passhash.New("secret", make([]byte, passhash.SaltLength)) + `"
[[domain]]
name = "bücher.example"
deliver_to = ["mail.internal", "192.0.2.1:2525", "[2001:db8::1]:26", "2001:db8::2"]
trust = "ca.pem"
require = "authenticated"
[[route]]
match = ["Partner.Test", "*.PARTNER.test.", "*"]
to = ["mx.partner.test:587"]
[dns]
servers = ["127.0.0.1", "[::1]:5353"]
[delivery]
retry = [1, "2s"]
lifetime = "1h30m"
delay_notice = 0
[trust]
roots = "public.pem"
[limits]
message_size = 1_000_000
`)
	if err != nil {
		t.Fatal(err)
	}
	var to []string
	for _, h := range c.Domain[0].DeliverTo {
		to = append(to, h.String())
	}
	got := []any{c.Hostname.String(), c.Data, c.Listen[0].Address, c.Listen[0].Auth && c.Listen[0].RequireTLS, c.Listen[1].Name,
		c.TLS.Certificates[0].Cert, c.TLS.Certificates[0].Key, c.Domain[0].Name.String(), to, c.Domain[0].Trust,
		c.Domain[0].Require.String(), c.Route[0].Match, c.DNS.Servers[0].String(), c.DNS.Servers[1].String(),
		c.Delivery.Retry[0].Duration, c.Delivery.Retry[1].Duration, c.Delivery.Lifetime.String(), c.Delivery.DelayNotice.Duration,
		c.Trust.Roots, c.Limits.MessageSize, c.Limits.Recipients}
	want := []any{"gw.example.com", Path("/etc/postern/spool"), ":587", true, "own",
		Path("/etc/postern/c.pem"), Path("/k.pem"), "xn--bcher-kva.example",
		[]string{"mail.internal:25", "192.0.2.1:2525", "[2001:db8::1]:26", "[2001:db8::2]:25"}, Path("/etc/postern/ca.pem"),
		"authenticated", []string{"partner.test", "*.partner.test", "*"}, "127.0.0.1:53", "[::1]:5353",
		time.Second, 2 * time.Second, "1h30m", time.Duration(0), Roots("/etc/postern/public.pem"), int64(1000000), 1000}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsWrongIsToldWithItsLineAndAHint(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"unknown key", "hostnam = \"x\"", `1:1: unknown key hostnam|did you mean "hostname"?`},
		{"unknown table", "[limit]\nhops = 1", `1:2: unknown key limit|did you mean "limits"?`},
		{"unknown key far from any", "[log]\nxyzzyx = 1", "2:1: unknown key log.xyzzyx|config example"},
		{"key given twice", "data = \"a\"\ndata = \"b\"", "2:1: not TOML"},
		{"wrong type: text", "[limits]\nhops = \"many\"", "2:8: limits.hops must be a whole number"},
		{"wrong type: number", "hostname = 5", "1:12: hostname must be a text in quotes"},
		{"wrong type: bool", "[delivery]\nlegacy_tls = 1", "2:14: delivery.legacy_tls must be true or false"},
		{"wrong type: table", "[hostname]\nx = 1", `1:2: hostname is a value, not a table`},
		{"list written as table", "[domain]\nname = \"a.test\"", "1:2: domain is a list of tables|[[domain]]"},
		{"table written as list", "[[limits]]\nhops = 20", "1:3: there is only one limits|[limits]"},
		{"text where a list belongs", "[relay]\nnetworks = \"10.0.0.0/8\"", `must be a list|networks = ["10.0.0.0/8"]`},
		{"number out of range", "[delivery]\nport = 65536", "2:8: delivery.port: 65536 is out of range"},
		{"negative duration", "[delivery]\nlifetime = \"-1h\"", "2:12: delivery.lifetime: \"-1h\" is not a duration"},
		{"hostname is an address", "hostname = \"[192.0.2.1]\"", "1:12: hostname: must be a name"},
		{"hostname is an address without brackets", "hostname = \"192.0.2.1\"", "1:12: hostname: must be a name, not an address|mail.example.com"},
		{"hostname ends in a number", "hostname = \"gw.192\"", "1:12: hostname: must be a name, not an address"},
		{"helo is an address", "[delivery]\nhelo = \"192.0.2.1\"", "2:8: delivery.helo: must be a name, not an address"},
		{"a claim of anybody's choice", "[oidc]\nissuer = \"https://i.test\"\nclient_id = \"x\"\nclaim = \"emial\"", `4:9: oidc.claim: "emial" is no claim|did you mean "email"?`},
		{"a claim that is a name", "[oidc]\nissuer = \"https://i.test\"\nclient_id = \"x\"\nclaim = \"name\"", `4:9: oidc.claim: "name" is no claim|email, preferred_username and sub`},
		{"bad domain", "hostname = \"a b\"", "1:12: hostname: not a domain name"},
		{"bad network", "[relay]\nnetworks = [\n  \"10.0.0.0/8\",\n  \"10.0.0.0/99\"]", "4:3: relay.networks[1]:"},
		{"bad address", "[[listen]]\naddress = \"25\"", `2:11: listen[0].address: "25" is not an address|":port"`},
		{"address used twice", "[[listen]]\n[[listen]]\naddress = \":25\"", "3:11: listen[1].address: :25 is already the address of listen[0]"},
		{"listener without certificate", "[[listen]]\nmode = \"smtps\"", "1:3: listen[0]: needs a certificate"},
		{"submission without users", "[[listen]]\nmode = \"submission\"" + certificate, "1:3: listen[0]: offers AUTH, and there is no [[user]]"},
		{"half a certificate", "[tls]\ncertificates = [{cert = \"c.pem\"}]", "tls.certificates[0]: needs both cert and key"},
		{"asking without TLS", "[relay]\nclient_certificates = \"ca.pem\"", "2:23: relay.client_certificates: clients can only"},
		{"plain password", "[[user]]\nname = \"a\"\npassword_hash = \"secret\"", "3:17: user[0].password_hash: not an argon2id hash"},
		{"domain without servers", "[[domain]]\nname = \"a.test\"", "1:3: domain[0].deliver_to: must name"},
		{"bad host", "[[domain]]\nname = \"a.test\"\ndeliver_to = [\"mx:port\"]", "3:15: domain[0].deliver_to[0]:"},
		{"bad pin", "[[domain]]\nname = \"a.test\"\ndeliver_to = [\"mx\"]\npins = [\"sha1:00\"]", "4:9: domain[0].pins[0]:"},
		{"bad level", "[[domain]]\nname = \"a.test\"\ndeliver_to = [\"mx\"]\nrequire = \"strong\"", "4:11: domain[0].require: unknown level"},
		{"two routes for a domain", "[[route]]\nmatch = [\"a.test\"]\nto = [\"b\"]\n[[route]]\nmatch = [\"A.test.\"]\nto = [\"c\"]",
			"5:10: route[1].match[0]: a.test already has route[0]"},
		{"an extension nobody knows", "[delivery]\nwithout = [\"size\", \"starttls\"]", "2:20: delivery.without[1]: unknown extension \"starttls\""},
		{"an extension of a route nobody knows", "[[route]]\nmatch = [\"a.test\"]\nwithout = [\"x\"]", "3:12: route[0].without[0]: unknown extension \"x\""},
		{"what becomes of signed content", "[[route]]\nmatch = [\"a.test\"]\nto = [\"c\"]\nsigned_8bit = \"drop\"", "4:15: route[0].signed_8bit: unknown value \"drop\", want convert or bounce"},
		{"a route that says nothing", "[[route]]\nmatch = [\"a.test\"]", "1:3: route[0].to: must name"},
		{"two manners at the same hosts", "[[route]]\nmatch = [\"a.test\"]\nto = [\"c\"]\n[[route]]\nmatch = [\"b.test\"]\nto = [\"c\"]\nwithout = [\"dsn\"]",
			"6:1: route[1].to: route[0] names the same hosts and speaks to them in another way"},
		{"unknown ratchet", "[delivery]\nratchet = \"on\"", "2:11: delivery.ratchet: unknown ratchet \"on\", want off, warn or hold"},
		{"ratchet after nothing", "[delivery]\nratchet_after = 0", "2:17: delivery.ratchet_after: 0 is too small, at least 1"},
		{"ratchet longer than mail waits", "[delivery]\nratchet = \"hold\"\nlifetime = \"1h\"\nratchet_hold = \"1h\"", "4:16: delivery.ratchet_hold: must be shorter than delivery.lifetime"},
		{"notify nobody knows where", "[admin]\nnotify = \"postmaster\"", "2:10: admin.notify"},
		{"limit below the RFC", "[limits]\nrecipients = 99", "2:14: limits.recipients: 99 is too small, at least 100"},
		{"limit beyond what is kept", "[limits]\ncommand_line = 5000", "2:16: limits.command_line: 5000 is too large, at most 4096"},
		{"relaying by more than TLS", "[relay]\nrequire = \"authenticated\"", `2:11: relay.require: must be "plaintext" or "encrypted"`},
		{"an unknown treatment of line ends", "[relay]\nbare_newline = \"allow\"", `2:16: relay.bare_newline: unknown treatment "allow", want refuse or normalize`},
		{"relaying by an unknown level", "[relay]\nrequire = \"tls\"", `2:11: relay.require: unknown level "tls"`},
		{"TLS demanded and not offered", "[relay]\nrequire = \"encrypted\"", "2:11: relay.require: clients cannot use TLS"},
		{"a binding of nobody", "[[relay_client]]\nsenders = [\"a.test\"]", "1:3: relay_client[0]: binds nobody|networks = "},
		{"a binding to nothing", "[relay]\nnetworks = [\"10.0.0.0/8\"]\n[[relay_client]]\nnetworks = [\"10.0.0.5/32\"]", `3:3: relay_client[0].senders: must name|"<>"`},
		{"a binding of a network that may not relay", "[relay]\nnetworks = [\"10.0.0.0/9\"]\n[[relay_client]]\nsenders = [\"*\"]\nnetworks = [\n\"10.1.0.0/16\",\n\"10.0.0.0/8\"]",
			"7:1: relay_client[0].networks[1]: 10.0.0.0/8 is not within relay.networks"},
		{"two bindings of a network", "[relay]\nnetworks = [\"10.0.0.0/8\"]\n[[relay_client]]\nnetworks = [\"10.0.0.0/16\"]\nsenders = [\"a.test\"]\n[[relay_client]]\nnetworks = [\"10.0.9.1/16\"]\nsenders = [\"b.test\"]",
			"7:13: relay_client[1].networks[0]: 10.0.0.0/16 is already bound by relay_client[0].networks[0]"},
		{"a binding of an unknown user", "[[relay_client]]\nusers = [\"ann\"]\nsenders = [\"a.test\"]", `2:10: relay_client[0].users[0]: there is no [[user]] "ann"`},
		{"a binding of certificates nobody asks for", "[[relay_client]]\ncertificates = [\"a.test\"]\nsenders = [\"a.test\"]", "2:1: relay_client[0].certificates: nobody relays by a certificate"},
		{"a sender that is an address", "[relay]\nnetworks = [\"::/0\"]\n[[relay_client]]\nnetworks = [\"::/0\"]\nsenders = [\"a@b.test\"]", `5:12: relay_client[0].senders[0]: "a@b.test" is an address`},
		{"a sender that is no domain", "[relay]\nnetworks = [\"::/0\"]\n[[relay_client]]\nnetworks = [\"::/0\"]\nsenders = [\"a..test\"]", `5:12: relay_client[0].senders[0]: not a domain name|*.example.com`},
		{"a sender with a star inside", "[relay]\nnetworks = [\"::/0\"]\n[[relay_client]]\nnetworks = [\"::/0\"]\nsenders = [\"a.*.test\"]", `5:12: relay_client[0].senders[0]: not a domain name`},
		{"a share below nothing", "[delivery]\nconnections_own = -1", "2:19: delivery.connections_own: -1 is too small, at least 0"},
		{"shares of more than there is", "[delivery]\nconnections = 100\nconnections_own = 51", "3:19: delivery.connections_own: 51 and the 50"},
		{"more unproven than there are", "[delivery]\nconnections = 100\nconnections_unproven = 101", "3:24: delivery.connections_unproven: 101 is more"},
		{"reports beyond their part", "[delivery]\nconnections_reports = 101", "2:23: delivery.connections_reports: 101 is more than the 100"},
		{"one host beyond its part", "[delivery]\nconnections_per_host = 101", "2:24: delivery.connections_per_host: 101 is more than the 100"},
		{"overtime below nothing", "[delivery]\nconnections_overtime = -1", "2:24: delivery.connections_overtime: -1 is too small"},
		{"slow at once", "[delivery]\nslow_after = \"0s\"", "2:14: delivery.slow_after: must be longer than nothing"},
		{"never proven", "[delivery]\nproven_for = \"0s\"", "2:14: delivery.proven_for: must be longer than nothing"},
		{"a policy without a mode", "[[domain]]\nname = \"a.test\"\ndeliver_to = [\"m\"]\nsts = { mx = [\"gw.test\"] }", "4:1: domain[0].sts.mode: must say|testing"},
		{"a policy of an unknown mode", "[[domain]]\nname = \"a.test\"\ndeliver_to = [\"m\"]\nsts = { mode = \"enforced\" }", "4:16: domain[0].sts.mode: the mode is \"enforced\"|testing"},
		{"a policy that names an address", "[[domain]]\nname = \"a.test\"\ndeliver_to = [\"m\"]\nsts = { mode = \"enforce\", mx = [\"192.0.2.1\"] }", "4:27: domain[0].sts.mx:|hint: write mx = [\"gw.test\"]"},
		{"a policy with a star inside", "[[domain]]\nname = \"a.test\"\ndeliver_to = [\"m\"]\nsts = { mode = \"enforce\", mx = [\"mx*.a.test\"] }", "4:27: domain[0].sts.mx:"},
		{"a policy for two years", "[[domain]]\nname = \"a.test\"\ndeliver_to = [\"m\"]\nsts = { mode = \"enforce\", max_age = \"17520h\" }", "4:37: domain[0].sts.max_age: max_age is|168h"},
		{"a CA whose terms nobody agrees to", "tls.acme = { directory = \"https://ca.test/dir\" }", "1:5: tls.acme.agree: the CA gives|write agree = true"},
		{"a CA without TLS", "tls.acme = { directory = \"http://ca.test/dir\", agree = true }", "1:26: tls.acme.directory: must be an https address|letsencrypt"},
		{"a CA without a directory", "tls.acme = { agree = true }", "tls.acme.directory: must name the CA|letsencrypt"},
		{"half an account", "tls.acme = { directory = \"https://ca.test/\", agree = true, eab = { key_id = \"k\" } }", "tls.acme.eab: key_id and key go together|eab.key"},
		{"a challenge nobody knows", "tls.acme = { directory = \"https://ca.test/\", agree = true, challenges = [\"dns-01\"] }", "unknown challenge \"dns-01\", want http-01 or tls-alpn-01"},
		{"a challenge that is no list", "tls.acme = { directory = \"https://ca.test/\", agree = true, challenges = \"http-01\" }", "tls.acme.challenges must be a list|challenges = [\"http-01\"]"},
		{"a challenge twice", "tls.acme = { directory = \"https://ca.test/\", agree = true, challenges = [\"http-01\", \"http-01\"] }", "tls.acme.challenges[1]: http-01 is there already"},
		{"a certificate for an address", "tls.acme = { directory = \"https://ca.test/\", agree = true, names = [\"192.0.2.1\"] }", "tls.acme.names[0]: must be a name|gw.test"},
		{"a certificate for every name", "tls.acme = { directory = \"https://ca.test/\", agree = true, names = [\"*.a.test\"] }", "tls.acme.names[0]"},
		{"a name twice", "tls.acme = { directory = \"https://ca.test/\", agree = true, names = [\"a.test\", \"A.test\"] }", "tls.acme.names[1]: a.test is there already"},
		{"a password at the port for challenges", "[[listen]]\nmode = \"acme\"\nrequire_tls = true\n[tls.acme]\ndirectory = \"https://ca.test/\"\nagree = true", "listen[0]: speaks HTTP"},
		{"a policy that is a text", "[[domain]]\nname = \"a.test\"\ndeliver_to = [\"m\"]\nsts = \"enforce\"", "4:7: domain[0].sts must be a table|{mode = ...}"},
		{"a web listener without certificate", "[[listen]]\nmode = \"web\"", "1:3: listen[0]: needs a certificate"},
		{"a web listener with passwords", "[[listen]]\nmode = \"web\"\nauth = true" + certificate, "1:3: listen[0]: speaks HTTPS"},
		{"reports without a signature", "[tlsrpt]\norganization = \"A\"", "1:2: tlsrpt.dkim: is needed|selector|leave organization out"},
		{"a signature without a key", "[tlsrpt]\norganization = \"A\"\ndkim = { domain = \"gw.test\", selector = \"s\" }", "tlsrpt.dkim: must name domain, selector and key"},
		{"a signature below no selector", "[tlsrpt]\norganization = \"A\"\ndkim = { domain = \"gw.test\", selector = \"a b\", key = \"k\" }", "3:41: tlsrpt.dkim.selector: \"a b\" is no selector"},
		{"a signature of another domain", "[tlsrpt]\norganization = \"A\"\nfrom = \"a@b.test\"\ndkim = { domain = \"gw.test\", selector = \"s\", key = \"k\" }",
			"3:8: tlsrpt.from: must be an ASCII address in the domain that signs, gw.test|tls-reports@gw.test"},
		{"reports come to nobody of ours", "[tlsrpt]\nreceive = [\"tls@a.test\"]", "tlsrpt.receive[0]: tls@a.test is in no domain that mail is received for|add a [[domain]]"},
		{"reports come to no address", "[tlsrpt]\nreceive = [\"postmaster\"]", "tlsrpt.receive"},
		{"reports by POST, and nobody listens", "[tlsrpt]\nreceive_https = true", "tlsrpt.receive_https: needs a listener of mode web"},
		{"a signature that is a text", "[tlsrpt]\norganization = \"A\"\ndkim = \"k.pem\"", "tlsrpt.dkim must be a table"},
		{"another engine", "store = \"mysql://x/y\"", "1:9: store: must be the address of a PostgreSQL database"},
		{"a store as words of a DSN", "store = \"host=db\"", "1:9: store: must be the address of a PostgreSQL database"},
		{"a store without a host", "store = \"postgres://\"", "1:9: store: names no host and no database"},
		{"a lease of a gateway that shares nothing", "[cluster]\nlease = \"20s\"", "2:9: cluster.lease: there is no other gateway"},
		{"a name of a gateway that shares nothing", "cluster = {node = \"gw1\"}", "1:19: cluster.node: there is no other gateway"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parse(tc.text)
			problems, ok := errors.AsType[*Problems](err)
			if !ok {
				t.Fatalf("error %v, want *Problems", err)
			}
			if len(problems.List) != 1 {
				t.Errorf("%d problems, want 1", len(problems.List))
			}
			for part := range strings.SplitSeq(tc.want, "|") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("no %q in:\n%v", part, err)
				}
			}
		})
	}
}

func TestWhatACertificateIsForAndHowItIsProved(t *testing.T) {
	const ca = "[tls]\nacme = { directory = \"https://ca.test/dir\", agree = true }\n"
	const sts = "[[domain]]\nname = \"b\u00fccher.test\"\ndeliver_to = [\"m\"]\nsts = { mode = \"testing\" }\n[[domain]]\nname = \"other.test\"\ndeliver_to = [\"m\"]\n"
	for _, tc := range []struct{ text, names, challenges string }{
		{ca + sts, "[gw.test]", "[http-01]"},
		{ca + sts + "[[listen]]\nmode = \"web\"\n", "[gw.test mta-sts.xn--bcher-kva.test]", "[tls-alpn-01]"},
		{ca + "[[listen]]\nmode = \"web\"\n[[listen]]\nmode = \"acme\"\n", "[gw.test]", "[http-01 tls-alpn-01]"},
		{"[[listen]]\nmode = \"acme\"\n[[listen]]\nmode = \"submission\"\n[[user]]\nname = \"a\"\npassword_hash = \"" + passhash.New("x", make([]byte, passhash.SaltLength)) + "\"\n" + ca, "[gw.test]", "[http-01]"},
		{"", "[]", "[]"},
	} {
		c, err := parse(tc.text)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if a := c.TLS.ACME; fmt.Sprint(a.Names) != tc.names || fmt.Sprint(a.Challenges) != tc.challenges {
			t.Errorf("%q: %v by %v", tc.text, a.Names, a.Challenges)
		}
		again, err := Parse("t.toml", "/etc/postern", "gw.test", []byte(c.TOML()))
		if err == nil && tc.text != "" && fmt.Sprint(again.TLS.ACME) != fmt.Sprint(c.TLS.ACME) {
			t.Errorf("%q: written and read again it is %v", tc.text, again.TLS.ACME)
		}
		if n := len(c.Listen); !c.Listen[n-1].Mode.TakesMail() && !c.Listen[0].Mode.TakesMail() {
			t.Errorf("%q: nobody takes mail", tc.text)
		}
	}
}

func TestAMachineWithoutADomainNameMustBeGivenOne(t *testing.T) {
	if _, err := Parse("t.toml", "/", "no name", nil); err == nil || !strings.Contains(err.Error(), "hostname") {
		t.Errorf("error %v, want one about hostname", err)
	}
	if _, err := Parse("t.toml", "/", "no name", []byte(`hostname = "gw.test"`)); err != nil {
		t.Error(err)
	}
}

func TestAPasswordIsKnownByItsHash(t *testing.T) {
	c := &Config{User: []User{{"alice", passhash.New("secret", []byte("0123456789abcdef"))}}}
	for _, tc := range []struct {
		name, password string
		want           bool
	}{{"alice", "secret", true}, {"alice", "Secret", false}, {"bob", "secret", false}, {"", "", false}} {
		if got := c.Authenticate(tc.name, tc.password); got != tc.want {
			t.Errorf("%q %q: %v", tc.name, tc.password, got)
		}
	}
}

func TestDurationsPrintAsTheyAreWritten(t *testing.T) {
	for _, s := range []string{"90s", "30m", "24h", "1h30m", "1h0m5s", "500ms"} {
		var d Duration
		if err := d.UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
		want := s
		if s == "90s" {
			want = "1m30s"
		}
		if d.String() != want {
			t.Errorf("%s prints as %s", s, d)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(Example()))
	f.Add([]byte("[[domain]]\nname='a'\n[domain.x]\n[[domain]]\nx.y=1"))
	f.Add([]byte("[[domain]]\nname='a.test'\ndeliver_to=['m']\nsts={mode='none',mx=['*.a.test'],max_age='1h'}\n[tls]\nnext_keys=['n']"))
	f.Add([]byte("tls.certificates=[{cert='a',key='b'}]\nlisten=[{address=':1'}]\ndns={servers=['::1']}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("t.toml", "/etc", "gw.test", text)
		if err != nil {
			_ = err.Error()
			return
		}
		if len(c.User) > 0 {
			return // hashes are not shown, so the text cannot be read again
		}
		again, err := Parse("t.toml", "/etc", "gw.test", []byte(c.TOML()))
		if err != nil {
			t.Fatalf("what TOML writes cannot be read: %v\n%s", err, c.TOML())
		}
		if diff := cmp.Diff(c.TOML(), again.TOML()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Whoever adds a listener for the web has not meant to take that for mail away.
func TestThereIsAlwaysAListenerForMail(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "smtp:25",
		"[[listen]]\nmode = \"web\"\n":      "web:443 smtp:25",
		"[[listen]]\nmode = \"smtps\"\n":    "smtps:465",
		"[[listen]]\naddress = \":2525\"\n": "smtp:2525",
		"[[listen]]\nmode = \"web\"\n[[listen]]\nmode = \"smtps\"\n": "web:443 smtps:465",
	} {
		c, err := parse(text + certificate)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var got []string
		for _, l := range c.Listen {
			got = append(got, l.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %s", text, got, want)
		}
	}
}

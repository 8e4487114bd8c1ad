package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/platform/passhash"
	"postern/internal/platform/publicaddr"
	"postern/internal/policy/sts"
)

// check examines what the values mean. Every problem is reported through d.
func (c *Config) check(d *decoder) {
	c.Store.check(d)
	if c.Data == "" {
		d.fail("data", "must name a folder", `write data = "/var/lib/postern"`)
	}
	const name = `write the full name other servers know this one by, as in "mail.example.com"`
	if isAddress(c.Hostname) {
		d.fail("hostname", "must be a name, not an address", name)
	} else if isAddress(c.Delivery.Helo) {
		d.fail("delivery.helo", "must be a name, not an address", name)
	}
	if c.Postmaster.Domain.IsZero() || !c.Postmaster.IsASCII() {
		d.fail("postmaster", "must be an ASCII address with a domain",
			fmt.Sprintf("write postmaster = \"postmaster@%s\"", c.Hostname))
	}
	c.checkCluster(d)
	c.checkListen(d)
	c.checkTLS(d)
	c.checkRelay(d)
	c.checkUsers(d)
	c.checkDomains(d)
	c.checkRoutes(d)
	c.checkDelivery(d)
	c.checkLimits(d)
	c.checkShares(d)
	if c.Trust.Roots == "" {
		d.fail("trust.roots", "must be \"system\", \"bundled\" or a file", "")
	}
	if c.Admin.Listen != "" {
		checkAddress(d, "admin.listen", c.Admin.Listen)
	}
	if u, err := url.Parse(c.Admin.URL); c.Admin.URL != "" &&
		(err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" ||
			u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		d.fail("admin.url", "must be an address without a path", `write url = "https://gw.example.com:8025"`)
	}
	if c.Admin.TLS && !c.TLS.Offered() {
		d.fail("admin.tls", "needs a certificate", `write [tls] certificates = [{cert = "cert.pem", key = "key.pem"}]`)
	}
	if c.Admin.SessionIdle.Duration <= 0 || c.Admin.SessionTime.Duration < c.Admin.SessionIdle.Duration {
		d.fail("admin.session_idle", "must be more than nothing and at most session_time",
			`write session_idle = "30m" and session_time = "12h"`)
	}
	c.checkOIDC(d)
	c.checkTLSRPT(d)
	c.checkReceived(d)
	if n := c.Admin.Notify; !n.IsNull() && (n.Domain.IsZero() || !n.IsASCII()) {
		d.fail("admin.notify", "must be an ASCII address with a domain", `write notify = "postmaster@example.com"`)
	}
}

// checkReceived examines where reports of others come to.
func (c *Config) checkReceived(d *decoder) {
	for i, a := range c.TLSRPT.Receive {
		key := fmt.Sprintf("tlsrpt.receive[%d]", i)
		switch {
		case a.Domain.IsZero() || !a.IsASCII():
			d.fail(key, "must be an ASCII address with a domain", `write receive = ["tls-reports@example.com"]`)
		case !slices.ContainsFunc(c.Domain, func(own Domain) bool { return own.Name == a.Domain }):
			d.fail(key, fmt.Sprintf("%s is in no domain that mail is received for", a),
				"add a [[domain]], or take an address in one")
		}
	}
	if c.TLSRPT.ReceiveHTTPS && !slices.ContainsFunc(c.Listen, func(l Listen) bool { return l.Mode == ModeWeb }) {
		d.fail("tlsrpt.receive_https", "needs a listener of mode web", `add [[listen]] with mode = "web"`)
	}
}

// checkTLSRPT examines who reports on TLS. A mail without a signature counts for nothing (RFC 8460 §3).
func (c *Config) checkTLSRPT(d *decoder) {
	t := &c.TLSRPT
	const dkim = `write dkim = { domain = "example.com", selector = "tlsrpt", key = "dkim.pem" }`
	switch k := &t.DKIM; {
	case *k == (DKIM{}):
		if t.Sends() {
			d.fail("tlsrpt.dkim", "is needed: reports without a DKIM signature count for nothing",
				dkim+", or leave organization out, and nothing is sent")
		}
		return
	case k.Domain.IsZero() || isAddress(k.Domain) || k.Key == "":
		d.fail("tlsrpt.dkim", "must name domain, selector and key", dkim)
		return
	case !selector(k.Selector, k.Domain):
		d.fail("tlsrpt.dkim.selector", fmt.Sprintf("%q is no selector: it is a name in DNS below _domainkey",
			k.Selector), dkim)
		return
	}
	if !t.Sends() {
		return
	}
	from, signer := t.From.Domain.String(), t.DKIM.Domain.String()
	if !t.From.IsASCII() || from != signer && !strings.HasSuffix(from, "."+signer) {
		d.fail("tlsrpt.from", fmt.Sprintf("must be an ASCII address in the domain that signs, %s", signer),
			fmt.Sprintf("write from = \"tls-reports@%s\"", signer))
	}
}

// selector reports whether text can be the selector of a DKIM key (RFC 6376 §3.1).
func selector(text string, domain mail.Domain) bool {
	name, err := mail.ParseDomain(text + "._domainkey." + domain.String())
	_, literal := name.Literal()
	return text != "" && err == nil && !literal
}

func (c *Config) checkOIDC(d *decoder) {
	o := &c.OIDC
	if o.Issuer == "" {
		if o.ClientID != "" || o.ClientSecretFile != "" {
			d.fail("oidc.client_id", "says nothing without an issuer", `write issuer = "https://login.example.com"`)
		}
		return
	}
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Host == "" || u.User != nil ||
		u.Scheme != "https" && !(u.Scheme == "http" && publicaddr.Loopback(u.Hostname())) {
		d.fail("oidc.issuer", "must be an https address", `write issuer = "https://login.example.com"`)
	}
	if o.ClientID == "" {
		d.fail("oidc.client_id", "must be what the provider knows the gateway by", `write client_id = "postern"`)
	}
	if !slices.Contains(claims(), o.Claim) {
		hint := `write claim = "email"`
		if near := nearest(o.Claim, claims()); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		d.fail("oidc.claim", fmt.Sprintf("%q is no claim that names an account; there are email, "+
			"preferred_username and sub", o.Claim), hint)
	}
}

// claims are those that providers keep to one person. Others, such as a name, are whatever somebody writes into a
// profile.
func claims() []string { return []string{"email", "preferred_username", "sub"} }

// isAddress reports whether a name is an IP address, or would be taken for one: its last label is a number.
func isAddress(d mail.Domain) bool {
	_, literal := d.Literal()
	last := d.String()[strings.LastIndexByte(d.String(), '.')+1:]
	return literal || last != "" && strings.Trim(last, "0123456789") == ""
}

// isLoopback reports whether a host is this machine, where nobody listens on the way.

func (c *Config) checkListen(d *decoder) {
	byAddress, byName := map[string]int{}, map[string]int{}
	for i, l := range c.Listen {
		path := fmt.Sprintf("listen[%d]", i)
		checkAddress(d, path+".address", l.Address)
		if j, twice := byAddress[l.Address]; twice {
			d.fail(path+".address", fmt.Sprintf("%s is already the address of listen[%d]", l.Address, j), "")
		}
		if j, twice := byName[l.Name]; twice && byAddress[l.Address] != j {
			d.fail(path+".name", fmt.Sprintf("%s is already the name of listen[%d]", l.Name, j), "")
		}
		byAddress[l.Address], byName[l.Name] = i, i
		needsTLS := l.Mode != ModeSMTP && l.Mode != ModeACME || l.RequireTLS || l.Auth
		if needsTLS && !c.TLS.Offered() {
			d.fail(path, "needs a certificate: it can do nothing without TLS",
				`write [tls] certificates = [{cert = "cert.pem", key = "key.pem"}]`)
		}
		if l.Mode == ModeWeb && (l.RequireTLS || l.Auth) {
			d.fail(path, "speaks HTTPS, to which require_tls and auth say nothing", "leave them out")
		} else if l.Mode == ModeACME && (l.RequireTLS || l.Auth) {
			d.fail(path, "speaks HTTP, to which require_tls and auth say nothing", "leave them out")
		} else if l.Auth && len(c.User) == 0 {
			d.fail(path, "offers AUTH, and there is no [[user]] who could use it",
				"add a [[user]] with name and password_hash; `postern config hash-password` makes the hash")
		}
	}
}

// checkAddress examines the address of a listener. Port 0 is allowed: the system chooses, and the log says which.
func checkAddress(d *decoder, path, address string) {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		d.fail(path, fmt.Sprintf("%q is not an address to listen on", address), `write "host:port" or ":port"`)
	}
}

func (c *Config) checkTLS(d *decoder) {
	for i, cert := range c.TLS.Certificates {
		path := fmt.Sprintf("tls.certificates[%d]", i)
		if cert.Cert == "" || cert.Key == "" {
			d.fail(path, "needs both cert and key", `write {cert = "cert.pem", key = "key.pem"}`)
		}
	}
	if (c.Delivery.ClientCertificate == "") != (c.Delivery.ClientKey == "") {
		d.fail("delivery.client_certificate", "client_certificate and client_key go together", "")
	}
	c.checkACME(d)
	asks := c.TLS.AskClients || c.Relay.ClientCertificates != ""
	if asks && !c.TLS.Offered() {
		path := "tls.ask_clients"
		if !c.TLS.AskClients {
			path = "relay.client_certificates"
		}
		d.fail(path, "clients can only be asked for a certificate over TLS, and there is no certificate to do TLS with",
			`write [tls] certificates = [{cert = "cert.pem", key = "key.pem"}]`)
	}
}

func (c *Config) checkUsers(d *decoder) {
	seen := map[string]bool{}
	for i, u := range c.User {
		path := fmt.Sprintf("user[%d]", i)
		if u.Name == "" {
			d.fail(path+".name", "must not be empty", "")
		}
		if seen[u.Name] {
			d.fail(path+".name", fmt.Sprintf("there are two users %q", u.Name), "")
		}
		seen[u.Name] = true
		if _, err := passhash.Parse(u.PasswordHash); err != nil {
			d.fail(path+".password_hash", err.Error(), "`postern config hash-password` makes one")
		}
	}
}

func (c *Config) checkDomains(d *decoder) {
	seen := map[mail.Domain]bool{}
	for i, own := range c.Domain {
		path := fmt.Sprintf("domain[%d]", i)
		if own.Name.IsZero() {
			d.fail(path+".name", "must not be empty", `write name = "example.com"`)
		}
		if seen[own.Name] {
			d.fail(path+".name", fmt.Sprintf("there are two domains %s", own.Name), "")
		}
		seen[own.Name] = true
		if len(own.DeliverTo) == 0 {
			d.fail(path+".deliver_to", "must name the servers that take this mail",
				`write deliver_to = ["mail.internal:25"]`)
		}
		for j, pin := range own.Pins {
			checkPin(d, fmt.Sprintf("%s.pins[%d]", path, j), pin)
		}
		c.checkSTS(d, path+".sts", &own.STS)
	}
}

// checkSTS examines the policy of a domain.
func (c *Config) checkSTS(d *decoder, path string, s *STS) {
	if !s.Published() {
		if len(s.MX) > 0 || s.MaxAge.Duration > 0 {
			d.fail(path+".mode", "must say what the policy asks for", `write mode = "testing"`)
		}
		return
	}
	_, err := s.Policy()
	fault, ok := errors.AsType[*sts.Fault](err)
	switch {
	case !ok:
	case s.Mode != sts.Enforce && s.Mode != sts.Testing && s.Mode != sts.None:
		d.fail(path+".mode", fault.Text, `write mode = "testing", and "enforce" once nothing falls short`)
	case s.MaxAge.Duration > sts.MaxAge || s.MaxAge.Duration%time.Second != 0:
		d.fail(path+".max_age", fault.Text, `write max_age = "168h"`)
	default:
		d.fail(path+".mx", fault.Text, fmt.Sprintf("write mx = [%q]", c.Hostname))
	}
}

func checkPin(d *decoder, path, pin string) {
	hex, ok := strings.CutPrefix(pin, "sha256:")
	if !ok || len(hex) != 64 || strings.Trim(strings.ToLower(hex), "0123456789abcdef") != "" {
		d.fail(path, fmt.Sprintf("%q is not a pin", pin),
			`write "sha256:" and the 64 hexadecimal digits of the key's SPKI digest`)
	}
}

func (c *Config) checkDelivery(d *decoder) {
	checkSource(d, "delivery.source", c.Delivery.Source)
	if c.Delivery.Ratchet == RatchetHold && c.Delivery.RatchetHold.Duration >= c.Delivery.Lifetime.Duration {
		d.fail("delivery.ratchet_hold", "must be shorter than delivery.lifetime, or mail is returned before it may go",
			`write ratchet_hold = "4h"`)
	}
	if c.Delivery.Port == 0 {
		d.fail("delivery.port", "must be between 1 and 65535", "")
	}
	if len(c.Delivery.Retry) == 0 {
		d.fail("delivery.retry", "must have at least one waiting time", `write retry = ["5m", "1h"]`)
	}
	for i, r := range c.Delivery.Retry {
		if r.Duration <= 0 {
			d.fail(fmt.Sprintf("delivery.retry[%d]", i), "must be longer than nothing", "")
		}
	}
	// a plan has 30 s for all its questions
	if t := c.Policies.STSTimeout.Duration; t < time.Second || t > 20*time.Second {
		d.fail("policies.sts_timeout", "must be between 1s and 20s", `write sts_timeout = "10s"`)
	}
	for _, v := range []struct {
		path  string
		value Duration
	}{
		{"delivery.lifetime", c.Delivery.Lifetime},
		{"dns.client_names_wait", c.DNS.ClientNamesWait},
		{"dns.client_names_timeout", c.DNS.ClientNamesTimeout},
		{"dns.client_names_for", c.DNS.ClientNamesFor},
		{"asking.wait", c.Asking.Wait},
		{"asking.pause", c.Asking.Pause},
		{"asking.known", c.Asking.Known},
		{"asking.unknown", c.Asking.Unknown},
		{"delivery.connect_timeout", c.Delivery.ConnectTimeout},
		{"delivery.attempt_timeout", c.Delivery.AttemptTimeout},
		{"delivery.revocation_timeout", c.Delivery.RevocationTimeout},
		{"delivery.slow_after", c.Delivery.SlowAfter},
		{"delivery.proven_for", c.Delivery.ProvenFor},
		{"limits.command_timeout", c.Limits.CommandTimeout},
		{"limits.crowded_timeout", c.Limits.CrowdedTimeout},
		{"limits.handshake_timeout", c.Limits.HandshakeTimeout},
		{"limits.proxy_timeout", c.Limits.ProxyTimeout},
		{"limits.data_timeout", c.Limits.DataTimeout},
		{"limits.session_time", c.Limits.SessionTime},
		{"limits.transaction_time", c.Limits.TransactionTime},
		{"limits.login_window", c.Limits.LoginWindow},
		{"queue.retention", c.Queue.Retention},
	} {
		if v.value.Duration <= 0 {
			d.fail(v.path, "must be longer than nothing", "")
		}
	}
}

// checkShares refuses a division of the connections that does not add up. A share that is 0 is one of connections.
func (c *Config) checkShares(d *decoder) {
	v := &c.Delivery
	unproven := v.ConnectionsUnproven
	if unproven == 0 {
		unproven = v.Connections / 2
	}
	if own := v.ConnectionsOwn; own > 0 && own+unproven > v.Connections {
		d.fail("delivery.connections_own", fmt.Sprintf("%d and the %d of connections_unproven are more than the %d "+
			"connections there are",
			own, unproven, v.Connections), "")
	} else if unproven > v.Connections {
		d.fail("delivery.connections_unproven", fmt.Sprintf("%d is more than the %d connections there are", unproven,
			v.Connections), "")
	}
	for _, share := range []limit{
		{"delivery.connections_reports", int64(v.ConnectionsReports), 0, 0},
		{"delivery.connections_per_host", int64(v.ConnectionsPerHost), 0, 0},
	} {
		if share.value > int64(unproven) {
			d.fail(share.path, fmt.Sprintf("%d is more than the %d of connections_unproven", share.value, unproven), "")
		}
	}
}

// limit is a number of the configuration with the range it may have; most 0 is no upper bound.
type limit struct {
	path               string
	value, least, most int64
}

func (c *Config) checkLimits(d *decoder) {
	l := &c.Limits
	for _, v := range []limit{
		{"delivery.connections", int64(c.Delivery.Connections), 1, 0},
		{"delivery.connections_per_site", int64(c.Delivery.ConnectionsPerSite), 1, 0},
		{"delivery.connections_own", int64(c.Delivery.ConnectionsOwn), 0, 0},
		{"delivery.connections_unproven", int64(c.Delivery.ConnectionsUnproven), 0, 0},
		{"delivery.connections_reports", int64(c.Delivery.ConnectionsReports), 0, 0},
		{"delivery.connections_per_host", int64(c.Delivery.ConnectionsPerHost), 0, 0},
		{"delivery.connections_overtime", int64(c.Delivery.ConnectionsOvertime), 0, 0},
		{"delivery.ratchet_after", int64(c.Delivery.RatchetAfter), 1, 1_000_000},
		{"delivery.ratchet_days", int64(c.Delivery.RatchetDays), 0, 30},
		{"dns.client_names_lookups", int64(c.DNS.ClientNamesLookups), 1, 10_000},
		{"dns.client_names_remembered", int64(c.DNS.ClientNamesRemembered), 1, 10_000_000},
		{"asking.remembered", int64(c.Asking.Remembered), 2, 10_000_000},
		{"asking.connections_per_server", int64(c.Asking.ConnectionsPerServer), 1, 1000},
		{"asking.connections", int64(c.Asking.Connections), 1, 10_000},
		{"limits.message_size", l.MessageSize, 65536, 0},
		{"queue.memory", cmp.Or(c.Queue.Memory, 1<<20), 1 << 20, 0},
		{"limits.header_size", l.HeaderSize, 16384, 1 << 26},
		{"limits.connections", int64(l.Connections), 1, 0},
		{"limits.connections_per_client", int64(l.ConnectionsPerClient), 1, 0},
		{"limits.recipients", int64(l.Recipients), 100, 0},
		{"limits.command_line", int64(l.CommandLine), 512, 4096},
		{"limits.hops", int64(l.Hops), 10, 0},
		{"limits.bad_commands", int64(l.BadCommands), 1, 0},
		{"limits.noop_commands", int64(l.NoopCommands), 1, 0},
		{"limits.data_rate", int64(l.DataRate), 1, 1 << 20},
		{"admin.connections", int64(c.Admin.Connections), 4, 4096},
		{"admin.streams", int64(c.Admin.Streams), 1, 1000},
		{"limits.memory", cmp.Or(l.Memory, 1<<30), 64 << 20, 0},
		{"limits.content_memory", cmp.Or(l.ContentMemory, 1<<20), 1 << 20, 0},
		{"log.memory", c.Log.Memory, 65536, 1 << 30},
		{"queue.notices_per_address", int64(c.Queue.NoticesPerAddress), 1, 0},
		{"queue.notices_to_strangers", int64(c.Queue.NoticesToStrangers), 1, 1_000_000},
		{"limits.login_failures", int64(l.LoginFailures), 1, 1000},
	} {
		switch {
		case v.value < v.least:
			d.fail(v.path, fmt.Sprintf("%d is too small, at least %d", v.value, v.least), "")
		case v.most > 0 && v.value > v.most:
			d.fail(v.path, fmt.Sprintf("%d is too large, at most %d", v.value, v.most), "")
		}
	}
}

package config

import (
	"cmp"
	"net/netip"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/sts"
)

// Config is a whole configuration file. The zero value is not useful: start from Default or Load. A Config is never
// changed after Load, so it may be shared.
type Config struct {
	// Name of this gateway in greetings, EHLO and Received lines. Empty: the name of the machine.
	Hostname mail.Domain `toml:"hostname" example:"'gw.example.com'"`
	// Folder of everything the gateway keeps: the queue, the trace, applied rules, its control socket.
	Data Path `toml:"data"`
	// Where mail, trace, rules, accounts and all else that is kept are stored. Empty is the embedded database in the
	// data folder. The address of a PostgreSQL database, as libpq writes it with one host or several, lets several
	// gateways share one queue. Leave the password to a file (passfile=, PGPASSFILE); with sslmode=verify-full the
	// database is authenticated.
	Store Store `toml:"store" example:"'postgres://postern@db.example.com/postern?sslmode=verify-full'"`
	// Author of the notices the gateway writes. Empty: postmaster@ the hostname.
	Postmaster mail.Address `toml:"postmaster" example:"'postmaster@example.com'"`

	Listen      []Listen      `toml:"listen"`
	TLS         TLS           `toml:"tls"`
	Relay       Relay         `toml:"relay"`
	RelayClient []RelayClient `toml:"relay_client"`
	User        []User        `toml:"user"`
	Domain      []Domain      `toml:"domain"`
	Asking      Asking        `toml:"asking"`
	Route       []Route       `toml:"route"`
	DNS         DNS           `toml:"dns"`
	Policies    Policies      `toml:"policies"`
	TLSRPT      TLSRPT        `toml:"tlsrpt"`
	Delivery    Delivery      `toml:"delivery"`
	Trust       Trust         `toml:"trust"`
	Limits      Limits        `toml:"limits"`
	Queue       Queue         `toml:"queue"`
	Cluster     Cluster       `toml:"cluster"`
	Admin       Admin         `toml:"admin"`
	OIDC        OIDC          `toml:"oidc"`
	Log         Log           `toml:"log"`
	Process     Process       `toml:"process"`

	// path is the file this came from, "" for Default.
	path  string
	lines lines
}

// Listen is a listener. Without one for mail there is one, mode smtp on port 25.
type Listen struct {
	// Where to listen: "host:port", or ":port" for every address of the machine. Empty: every address, at the usual
	// port of the mode (25, 465, 587, 443, 80).
	Address string `toml:"address" example:"':25'"`
	// "smtp" (STARTTLS offered), "smtps" (TLS from the first byte), "submission" (STARTTLS and AUTH needed before
	// mail), "web" (HTTPS for strangers: the policies of sts in [[domain]], tls.partner_page, and nothing else) or
	// "acme" (HTTP for the challenges of tls.acme, and nothing else). Empty: "smtp".
	Mode Mode `toml:"mode" example:"'smtp'"`
	// What the log calls the listener. Empty: its mode and address.
	Name string `toml:"name" example:"'world'"`
	// Refuse mail before STARTTLS. Do not set it on the port the world sends to; submission always has it.
	RequireTLS bool `toml:"require_tls"`
	// Offer AUTH, inside TLS only. Submission always has it.
	Auth bool `toml:"auth"`
	// Networks of load balancers. A connection from there must begin with a PROXY header (version 1 or 2), and the
	// address in it counts as the client's everywhere: one in relay.networks may relay. From elsewhere none is read.
	Proxy []netip.Prefix `toml:"proxy" example:"['192.0.2.10/32']"`
}

// TLS is about the gateway's own certificates, for clients that connect to it.
type TLS struct {
	// Certificates offered to clients, chosen by the name a client asks for; the first serves everyone else. Without
	// any, and without acme, STARTTLS is not offered. The files are read again when they change.
	Certificates []Certificate `toml:"certificates" example:"[{cert = 'cert.pem', key = 'key.pem'}]"`
	// Ask every client for a certificate and record what it shows in log, trace and stamp. A client without one is
	// served all the same.
	AskClients bool `toml:"ask_clients"`
	// Files of keys that certificates will be made for next, PEM: public keys (`openssl pkey -pubout`), certificates,
	// or private keys, of which the public part is read alone. `postern records` prints their TLSA records beside those
	// of the present keys, so that they are in DNS before the key changes.
	NextKeys []Path `toml:"next_keys" example:"['next.pem']"`
	// Get a certificate from a CA and renew it (ACME), with the same key each time; it is kept in the data folder.
	// directory is the CA's; agree = true says that you agree to its terms. names are the hostname and the policy hosts
	// of sts unless given. challenges are "http-01" (a listener of mode "acme", which the CA must reach at port 80) and
	// "tls-alpn-01" (mode "web", at port 443): those that there are listeners for. eab = {key_id = "...", key = FILE}
	// is an account that the CA knows already. trust is a file of CA certificates that vouch for the directory; empty:
	// trust.roots. key is a file of a private key to be certified instead of one that the gateway makes. client = true
	// shows the certificate to other servers too.
	ACME ACME `toml:"acme" example:"{directory = 'https://acme-v02.api.letsencrypt.org/directory', email = 'postmaster@example.com', agree = true}"`
	// Whether a listener of mode "web" shows partners our certificates, their roots and what will change, at
	// https://HOSTNAME/.
	PartnerPage bool `toml:"partner_page"`
}

// Certificate names the files of one certificate.
type Certificate struct {
	// File of the certificate and its intermediates, PEM, leaf first.
	Cert Path `toml:"cert"`
	// File of the private key, PEM.
	Key Path `toml:"key"`
}

// Relay says who may send to domains that are not ours. Anybody else may only send to the served domains.
type Relay struct {
	// Networks whose clients may relay.
	Networks []netip.Prefix `toml:"networks" example:"['127.0.0.0/8', '10.0.0.0/8']"`
	// File of CA certificates, PEM. A client whose certificate one of them signed may relay. Asks clients for a
	// certificate, as tls.ask_clients does.
	ClientCertificates Path `toml:"client_certificates" example:"'clients-ca.pem'"`
	// What those who may relay must use: "plaintext" or "encrypted". With "encrypted", mail from networks is refused
	// with 530 until the client has said STARTTLS, wherever it is to go. Without it, mail that a rule forces onward is
	// taken without TLS, which log, trace and console tell.
	Require policy.Level `toml:"require"`
	// What becomes of mail of those who may relay with a CR or LF that stands alone, as scripts and scanners write it:
	// "refuse" or "normalize", which makes each a CRLF (a signature over such lines breaks). Of the world it is always
	// refused, and so is content in which a dot stands alone between such line ends, whoever sends it.
	BareNewline BareNewline `toml:"bare_newline"`
}

// RelayClient says which envelope senders some of those who may relay may use; others are refused with 553 at MAIL. It
// lets nobody relay. A client is judged by its user if it logged in, else by its verified certificate, else by the
// smallest network that holds its address. Who is in no relay_client may use every sender.
type RelayClient struct {
	// Networks, within relay.networks.
	Networks []netip.Prefix `toml:"networks" example:"['127.0.0.0/8']"`
	// Names of users.
	Users []string `toml:"users" example:"['mail.example.com']"`
	// Names in client certificates (DNS names or the common name): "app.example.com", "*.example.com" for every name
	// below it, "*" for all certificates that no other relay_client names.
	Certificates []string `toml:"certificates" example:"['app.example.com']"`
	// Senders they may use: "example.com", "*.example.com" for the domains below it, "<>" for the null sender of
	// reports and receipts, "*" for all.
	Senders []Sender `toml:"senders" example:"['example.com', '<>']"`
}

// User is somebody who may relay after AUTH.
type User struct {
	// The name given in AUTH.
	Name string `toml:"name" example:"'mail.example.com'"`
	// The password's hash, as `postern config hash-password` prints it.
	PasswordHash string `toml:"password_hash" example:"'$argon2id$...'"`
}

// Domain is a domain we receive for.
type Domain struct {
	// The domain. Domains below it are not included.
	Name mail.Domain `toml:"name" example:"'example.com'"`
	// The servers that take its mail, tried in this order; port 25 unless one is given.
	DeliverTo []HostPort `toml:"deliver_to" example:"['mail.internal:25']"`
	// File of CA certificates that vouch for these servers. Empty: the public roots.
	Trust Path `toml:"trust" example:"'internal-ca.pem'"`
	// Keys of these servers, "sha256:<hex of the SPKI>"; one of them must be in the chain. Empty: any key.
	Pins []string `toml:"pins" example:"['sha256:...']"`
	// The least this leg must reach: "plaintext", "encrypted" or "authenticated".
	Require policy.Level `toml:"require"`
	// Who knows which mailboxes exist: "ask", these servers, at RCPT and before we answer, over a connection that
	// reached what this leg must; "any", nobody, every name is taken; or a file of addresses, one a line,
	// "@example.com" for all of the domain, which is read again when it changes. Mail for others is refused. A server
	// that does not answer refuses nobody. Empty: "ask".
	Recipients Recipients `toml:"recipients" example:"'ask'"`
	// The MTA-STS policy of the domain, which a listener of mode "web" serves at https://mta-sts.DOMAIN. mode is
	// "testing", "enforce" or "none" (which takes a policy back); mx names the mail hosts, the hostname unless given;
	// max_age is how long others keep the policy, 168h unless given. `postern records` prints what belongs in DNS.
	// Empty: no policy.
	STS STS `toml:"sts" example:"{mode = 'testing', mx = ['gw.example.com'], max_age = '168h'}"`
}

// STS is an MTA-STS policy of a domain of ours (RFC 8461).
type STS struct {
	// "testing", "enforce" or "none". Empty: there is no policy, and nothing else may be given.
	Mode sts.Mode `toml:"mode"`
	// The mail hosts: names, or "*.example.com" for one label below. Empty: the hostname.
	MX []string `toml:"mx"`
	// How long others keep it. 0: 168h.
	MaxAge Duration `toml:"max_age"`
}

// Published reports whether there is a policy.
func (s *STS) Published() bool { return s.Mode != "" }

// Policy is the policy; the error, a *sts.Fault, is that it cannot be one, which Load has refused.
func (s *STS) Policy() (sts.Policy, error) { return sts.New(s.Mode, s.MX, s.MaxAge.Duration) }

// Asking is about the questions to our own servers whether a recipient exists (recipients in [[domain]]).
type Asking struct {
	// How long a client waits for an answer at most; then its recipient is taken. A no needs two questions, and some
	// servers take five seconds for each.
	Wait Duration `toml:"wait"`
	// How long a server that did not answer is not asked; every recipient is taken meanwhile.
	Pause Duration `toml:"pause"`
	// How long it is remembered that a mailbox exists.
	Known Duration `toml:"known"`
	// How long it is remembered that a mailbox does not exist. A new mailbox is refused so long if mail for it came
	// before; a reload forgets.
	Unknown Duration `toml:"unknown"`
	// Mailboxes remembered, half of them for those that do not exist.
	Remembered int `toml:"remembered"`
	// Connections for questions to one server at a time.
	ConnectionsPerServer int `toml:"connections_per_server"`
	// The same to all servers together; as many more may be idle.
	Connections int `toml:"connections"`
}

// Outbound is how many connections for questions there can be at a time, idle ones included.
func (a *Asking) Outbound() int { return 2 * a.Connections }

// Route sends mail for some domains to named hosts instead of their MX. An exact name wins over a pattern, the longer
// pattern over the shorter.
type Route struct {
	// A name by which rules redirect mail here, whatever its domain: 1 to 40 lower-case letters, digits, - _ and dots.
	Name string `toml:"name" example:"'portal'"`
	// Domains: "partner.test", "*.partner.test" for everything below it, "*" for everything.
	// A route with a name needs none.
	Match []string `toml:"match" example:"['partner.test', '*.partner.test']"`
	// The hosts that take this mail, tried in this order; port 25 unless one is given.
	// Empty leaves where the mail goes as it is, for a route that only says how it is spoken there.
	To []HostPort `toml:"to" example:"['mx.partner.test:25']"`
	// Extensions not used there, besides those of delivery.without.
	Without []Extension `toml:"without" example:"['pipelining']"`
	// As delivery.signed_8bit, for this mail. Empty: as there.
	Signed8Bit Signed8Bit `toml:"signed_8bit" example:"'bounce'"`
	// As delivery.source, for this mail. A family that is missing: as there.
	Source []netip.Addr `toml:"source" example:"['192.0.2.5']"`
}

// DNS is about finding other servers.
type DNS struct {
	// Resolvers to ask, "address" or "address:port". Empty: those of /etc/resolv.conf. Where the word of one is
	// believed (trust_ad), those that are not believed are never asked.
	Servers []Server `toml:"servers" example:"['127.0.0.1']"`
	// Whose word is believed that an answer is signed (DNSSEC, the AD bit): "loopback", that of resolvers on this
	// machine; "yes", of every resolver, where the way to them is safe; "no", nobody's. Without it DANE cannot be used.
	TrustAD TrustAD `toml:"trust_ad"`
	// Find the names of clients for the Received line: the one that DNS has for the address and that leads back to it.
	// Not of clients in relay.networks, and of public addresses only. "unknown" is written only where DNS says that
	// there is none.
	ClientNames bool `toml:"client_names"`
	// How long a message may wait for that, at its DATA; it is looked up since the client connected.
	ClientNamesWait Duration `toml:"client_names_wait"`
	// How long such a look-up may take.
	ClientNamesTimeout Duration `toml:"client_names_timeout"`
	// Such look-ups at a time; more clients get no name.
	ClientNamesLookups int `toml:"client_names_lookups"`
	// How many addresses are remembered with their names.
	ClientNamesRemembered int `toml:"client_names_remembered"`
	// How long a name is remembered.
	ClientNamesFor Duration `toml:"client_names_for"`
}

// Delivery is about sending mail on.
type Delivery struct {
	// The name we say in EHLO to other servers. Empty: the hostname.
	Helo mail.Domain `toml:"helo" example:"'out.example.com'"`
	// Addresses of this machine that connections to other mail servers come from, one of IPv4, one of IPv6 or both;
	// mail never leaves by another one of that family. To the servers of a [[domain]], and of a family that is missing,
	// the system chooses.
	Source []netip.Addr `toml:"source" example:"['192.0.2.5', '2001:db8::5']"`
	// The port of MX hosts.
	Port uint16 `toml:"port"`
	// Addresses never delivered to by MX. Hosts named in a domain or route are not concerned.
	DenyNetworks []netip.Prefix `toml:"deny_networks"`
	// Waiting times between attempts at a site that fails. The last one repeats; each is stretched by up to a tenth.
	Retry []Duration `toml:"retry"`
	// How long ordinary mail is tried before its sender gets a report. Forced mail has the time its rule says.
	Lifetime Duration `toml:"lifetime"`
	// When the sender is told, once, that mail is still waiting. 0: never.
	DelayNotice Duration `toml:"delay_notice"`
	// Extensions of SMTP that are not used though a server offers them: "pipelining", "chunking", "8bitmime",
	// "smtputf8", "dsn", "size". One that a server offers and refuses is left out by itself, for a day.
	Without []Extension `toml:"without" example:"['chunking']"`
	// Signed content (DKIM, ARC) with 8-bit octets, where the next server does not offer 8BITMIME: "convert" re-encodes
	// it, which breaks the signature, "bounce" returns it.
	Signed8Bit Signed8Bit `toml:"signed_8bit"`
	// How long an unsigned answer of DNS that nobody takes mail for a domain (no such domain, null MX, no address) must
	// have stood before it returns mail that a rule protects: whoever forges DNS could say so. A signed answer returns
	// it at once, and ordinary mail returns at once by any. 0: at once in any case.
	UnsignedNo Duration `toml:"unsigned_no"`
	// Try TLS 1.0 and 1.1 before plaintext where nothing better can be had. Never used by forced mail.
	LegacyTLS bool `toml:"legacy_tls"`
	// Connections to other servers at a time, in all but connections_overtime. A try counts from its first question to
	// DNS. They are divided by the next keys, so that what is slow holds up nothing but what is slow.
	Connections int `toml:"connections"`
	// Connections to one site (a destination under one requirement) at a time. One that has not taken mail for
	// proven_for gets a single one until it does. Gateways on one database share them; each has at least one.
	ConnectionsPerSite int `toml:"connections_per_site"`
	// How many of connections are kept for the servers that a [[domain]] names. 0: a tenth.
	ConnectionsOwn int `toml:"connections_own"`
	// How many of connections all other sites that have not taken mail for proven_for, that fail, or that are slow, may
	// have together. 0: a half.
	ConnectionsUnproven int `toml:"connections_unproven"`
	// How many of connections_unproven may be at sites at which only reports wait: nobody chose to write there but
	// whoever named the sender. 0: an eighth of connections.
	ConnectionsReports int `toml:"connections_reports"`
	// How many of connections_unproven may be at one host: one address (IPv6: one /64 network), one name, or one next
	// hop, however many domains are behind it. 0: a tenth of connections.
	ConnectionsPerHost int `toml:"connections_per_host"`
	// Connections beyond connections that have been slow and only wait for the answer to a message that was sent whole.
	// They are never cut off, for the other side may have the message. 0: as many as connections.
	ConnectionsOvertime int `toml:"connections_overtime"`
	// How long a try, or a message on an open connection, may take before it is slow. A slow one counts among those
	// that fail; where those have no room for it and others wait, it is cut off and has all its time when it is tried
	// again.
	SlowAfter Duration `toml:"slow_after"`
	// For how long a site counts as one that works after it took mail.
	ProvenFor Duration `toml:"proven_for"`
	// How long a connection may wait for another message before it is closed. 0: never reused.
	IdleTime Duration `toml:"idle_time"`
	// How long to wait for a connection to open.
	ConnectTimeout Duration `toml:"connect_timeout"`
	// How long one attempt may take over all hosts, addresses and rungs, sending the message not included.
	AttemptTimeout Duration `toml:"attempt_timeout"`
	// What follows when a server that always had TLS suddenly has none: "off" nothing, "warn" the administrator is
	// told, "hold" ordinary mail for it also waits before it goes in plaintext.
	Ratchet RatchetMode `toml:"ratchet"`
	// How many attempts must have had TLS before its absence counts for the ratchet.
	RatchetAfter int `toml:"ratchet_after"`
	// Over how many days those attempts must have stretched.
	RatchetDays int `toml:"ratchet_days"`
	// How long "hold" keeps mail waiting, from when TLS was first missed at that server. 0: not at all.
	RatchetHold Duration `toml:"ratchet_hold"`
	// How long one connection may wait for an answer whether its certificates are revoked. A list that takes longer is
	// fetched all the same and is there for the next connection.
	RevocationTimeout Duration `toml:"revocation_timeout"`
	// Networks that CRLs and OCSP responders may be in though they are not public: that of a private CA, for example.
	// The addresses in certificates are a stranger's words, so loopback, private and link-local ones are never asked
	// otherwise.
	RevocationNetworks []netip.Prefix `toml:"revocation_networks" example:"['10.1.0.0/16']"`
	// Certificate shown to servers that ask for one, and its key. Both or none.
	ClientCertificate Path `toml:"client_certificate" example:"'client-cert.pem'"`
	// File of the private key of client_certificate.
	ClientKey Path `toml:"client_key" example:"'client-key.pem'"`
}

// Outbound is how many connections to other servers there can be at a time, overtime included.
func (d *Delivery) Outbound() int {
	return d.Connections + cmp.Or(d.ConnectionsOvertime, d.Connections)
}

// Trust is about the roots that public certificates are judged by.
type Trust struct {
	// "system", "bundled" (the Mozilla roots this build carries) or a file of CA certificates.
	Roots Roots `toml:"roots"`
}

// Limits bounds what clients may ask of the gateway.
type Limits struct {
	// Largest message in bytes, advertised by SIZE.
	MessageSize int64 `toml:"message_size"`
	// Largest header section in bytes.
	HeaderSize int64 `toml:"header_size"`
	// Client connections at a time, in all.
	Connections int `toml:"connections"`
	// Client connections at a time from one address (IPv6: from one /64 network).
	ConnectionsPerClient int `toml:"connections_per_client"`
	// Recipients of one message. At least 100 (RFC 5321 §4.5.3.1.8).
	Recipients int `toml:"recipients"`
	// Longest command line in bytes, line end included; 512 (RFC 5321 §4.5.3.1.4) to 4096. MAIL and RCPT may have 1024
	// more for their parameters.
	CommandLine int `toml:"command_line"`
	// Received lines after which a message is taken to be in a loop.
	Hops int `toml:"hops"`
	// Refused or unknown commands in one session before it is closed.
	BadCommands int `toml:"bad_commands"`
	// Commands that do nothing (NOOP, RSET, VRFY and the like) between two messages before the session is closed.
	NoopCommands int `toml:"noop_commands"`
	// How long a session may say nothing while we wait for a command (RFC 5321 §4.5.3.2.7).
	CommandTimeout Duration `toml:"command_timeout"`
	// The same while all limits.connections are in use: who is idle for longer then makes room for others.
	CrowdedTimeout Duration `toml:"crowded_timeout"`
	// How long a TLS handshake may take in all.
	HandshakeTimeout Duration `toml:"handshake_timeout"`
	// How long a load balancer (proxy in [[listen]]) may take for its PROXY header.
	ProxyTimeout Duration `toml:"proxy_timeout"`
	// How long a session may send nothing inside a message.
	DataTimeout Duration `toml:"data_timeout"`
	// How long one session may last in all. A transaction that is open is not cut by it.
	SessionTime Duration `toml:"session_time"`
	// How long one transaction may last, from MAIL to the end of the message.
	TransactionTime Duration `toml:"transaction_time"`
	// Bytes a second that a message must bring in the long run, after a first data_timeout that is free.
	DataRate int `toml:"data_rate"`
	// Bytes of memory that the gateway may take in all. 0: what the control group allows, half of the machine's, or
	// GOMEMLIMIT, whichever is least. Clients for whom none is left hear 421; `postern config check` shows what the
	// limits cost.
	Memory int64 `toml:"memory"`
	// Bytes that messages which are coming in may hold in memory, together. When it is used up they go on with small
	// buffers and bodies go to disk earlier; a header section over 16 KiB, a content that is to be looked into and a
	// long list of recipients that find no room are answered 452. 0: a sixteenth of the memory there is, at most
	// 128 MiB.
	ContentMemory int64 `toml:"content_memory"`
	// Wrong passwords that one client address (IPv6: one /64 network) may try within login_window; more AUTH from there
	// is answered 454. A user who logged in from there within a day is counted by himself.
	LoginFailures int `toml:"login_failures"`
	// How long failed logins count, from the first one.
	LoginWindow Duration `toml:"login_window"`
	// How long running transactions may take to end when the gateway stops.
	DrainTime Duration `toml:"drain_time"`
}

// Queue is about stored mail.
type Queue struct {
	// How long the record of finished mail is kept for `postern trace`.
	Retention Duration `toml:"retention"`
	// Keep in it the header fields that rules name, such as Subject, at most 2 KiB of a message: a preview of rules
	// then answers for them.
	HeaderFields bool `toml:"header_fields"`
	// How many bytes of memory, about, the mail of the last seconds may take: what is safe in the journal and not yet
	// in the database. At twice as much, new mail waits until there is room. 0: a part of the memory there is, at most
	// 32 MiB.
	Memory int64 `toml:"memory"`
	// Notices in an hour to one address that is not in our domains, about mail from the world. Its sender may be
	// forged, so more are held until somebody releases them; the administrator is told.
	NoticesPerAddress int `toml:"notices_per_address"`
	// The same to all such addresses together.
	NoticesToStrangers int `toml:"notices_to_strangers"`
}

// Cluster is about the other gateways that share the store.
type Cluster struct {
	// What the others call this gateway. Empty: the name of the machine.
	Node string `toml:"node"`
	// How long the others wait for this gateway before they take over what it was doing. It must reach the store three
	// times in this time. When it has not done so for half of it, it answers 451 and sends nothing.
	Lease Duration `toml:"lease"`
	// How long a change of the rules waits until all gateways judge by them. 0: two leases.
	ApplyWait Duration `toml:"apply_wait"`
}

// Admin is about looking at the gateway while it runs.
type Admin struct {
	// Where /metrics, /healthz, /readyz and the console answer. Empty: nowhere.
	Listen string `toml:"listen"`
	// Whether the console, for browsers, answers there. At another address than a loopback one it needs tls.
	Console bool `toml:"console"`
	// Whether TLS is spoken there, with the gateway's own certificates.
	TLS bool `toml:"tls"`
	// The console's address as browsers reach it, where that is not the one of listen: for links, and as a name that a
	// listener at a loopback address answers to. Empty: listen, with hostname where that is 0.0.0.0 or [::].
	URL string `toml:"url" example:"'https://gw.example.com:8025'"`
	// Connections at a time there. When one more comes, one that is idle or half-sent is closed; while all are being
	// answered it hears 503.
	Connections int `toml:"connections"`
	// Live pages and streams of events that one account may have open at a time.
	Streams int `toml:"streams"`
	// How long a browser stays signed in to the console without being used.
	SessionIdle Duration `toml:"session_idle"`
	// How long a browser stays signed in at most.
	SessionTime Duration `toml:"session_time"`
	// Who is written to, by mail, when something should not wait until somebody looks: a server lost its TLS, a
	// partner's certificate runs out, a notice is held. Empty: nobody.
	Notify mail.Address `toml:"notify" example:"'postmaster@example.com'"`
}

// OIDC lets people sign in to the console with an account they have elsewhere (OpenID Connect). An administrator makes
// an account for each of them first; only the name is taken from there.
type OIDC struct {
	// The provider. Empty: nobody signs in that way. Its redirect address for the gateway is the console's, with
	// /oidc/callback.
	Issuer string `toml:"issuer" example:"'https://login.example.com'"`
	// What the provider knows the gateway by.
	ClientID string `toml:"client_id" example:"'postern'"`
	// File with the secret that the provider gave for it. Empty: none.
	ClientSecretFile Path `toml:"client_secret_file" example:"'oidc-secret'"`
	// The claim that holds the name of an account: "email" (which must be verified), "preferred_username" or "sub".
	Claim string `toml:"claim"`
	// What the button says.
	Button string `toml:"button"`
}

// Log is the mail log, written to standard error.
type Log struct {
	// "debug", "info", "warn" or "error".
	Level LogLevel `toml:"level"`
	// "text" or "json".
	Format LogFormat `toml:"format"`
	// Bytes of lines that wait in memory for whoever reads the log. When it is used up, lines are lost, and counted,
	// until they are taken again; mail never waits for the log.
	Memory int64 `toml:"memory"`
}

// Process is about the rights of the process itself.
type Process struct {
	// The user to become when root started the gateway, once its sockets are open. Empty: the owner of the data folder.
	// "root" stays root.
	User string `toml:"user" example:"'postern'"`
	// Deny itself, once started, to write outside the data folder and to execute anything (Landlock of Linux 5.13 and
	// later). The log says what was reached.
	Sandbox bool `toml:"sandbox"`
}

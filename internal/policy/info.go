package policy

// The result types of RFC 8460 §4.3 that reasons map to.
const (
	reportNoTLS       = "starttls-not-supported"
	reportHostname    = "certificate-host-mismatch"
	reportExpired     = "certificate-expired"
	reportNotTrusted  = "certificate-not-trusted"
	reportFailed      = "validation-failure"
	reportTLSA        = "tlsa-invalid"
	reportDNSSEC      = "dnssec-invalid"
	reportPolicyFetch = "sts-policy-fetch-error"
	reportNothing     = "" // no TLS policy failed
)

// Info returns what people and protocols are told about r. A reason that is not on the list answers with itself as
// text, and nothing else filled but a general status.
func (r Reason) Info() Info {
	if i, known := explained[r]; known {
		return i
	}
	return Info{Reason: r, Class: OfOurs, Who: Us, Status: "0.0",
		Text: "The delivery fell short for a reason without an explanation: " + string(r) + ".",
		Hint: "Report this to the makers of Postern, with the delivery's trace."}
}

// Meaning is what a reason means in general, "" for none.
func (r Reason) Meaning() string {
	if r == "" {
		return ""
	}
	return r.Info().Text
}

// explained is Reasons by reason, made once: lists of thousands of sites explain each.
var explained = func() map[Reason]Info {
	out := map[Reason]Info{}
	for _, i := range Reasons() {
		out[i.Reason] = i
	}
	return out
}()

// Reasons returns every reason with its explanation, in the order of a delivery's life. The slice is the caller's.
func Reasons() []Info {
	var all []Info
	for _, group := range [][]Info{dnsReasons(), connectReasons(), tlsReasons(), certReasons(), publishedReasons(),
		remoteReasons()} {
		all = append(all, group...)
	}
	return all
}

// dnsReasons are about finding the host. Statuses: RFC 3463 §3.2, §3.5; RFC 7505 §4.
func dnsReasons() []Info {
	return []Info{
		{DNSNXDomain, OfTheWay, "The recipient's domain does not exist in DNS.", Us,
			"Check the spelling of the recipient's domain; if it is right, its owner must register or renew it.", "1.2",
			reportNothing},
		{DNSServfail, OfTheWay, "The DNS servers for the recipient's domain answered with a failure.", Them,
			"Ask with `dig MX DOMAIN`; if other resolvers fail too, the domain's owner must repair its name " +
				"servers or its DNSSEC signatures.", "4.3", reportNothing},
		{DNSTimeout, OfTheWay, "The DNS servers for the recipient's domain did not answer in time.", Network,
			"Check that this gateway reaches its resolver over UDP and TCP port 53, then whether the domain's name " +
				"servers answer at all.", "4.3", reportNothing},
		{DNSNullMX, OfTheWay, "The recipient's domain declares with a null MX that it accepts no mail.", Us,
			"Use another address: nobody can receive mail at this domain.", "1.10", reportNothing},
		{DNSNoAddress, OfTheWay, "No mail host of the recipient's domain has an IP address.", Them,
			"The domain's owner must add A or AAAA records for the hosts its MX records name.", "4.4", reportNothing},
		{DNSSECBogus, OfTheWay,
			"The DNS answer for the recipient's domain carries DNSSEC signatures that do not verify.", Them,
			"The domain's owner must repair its DNSSEC: signatures may have expired, or the DS record no longer " +
				"fits the keys.", "4.3", reportDNSSEC},
		{MXUnproven, OfMailHost,
			"The name of the mail host comes from unsigned DNS, and a proven one is demanded.", Us,
			"Name the host in the rule's `names`, or set `mx` to a weaker value (then `postern queue release " +
				"--rejudge`, for waiting mail keeps what it has); or the domain's owner signs its DNS or publishes " +
				"MTA-STS.", "7.1", reportNothing},
		{MXChanged, OfMailHost, "The recipient's domain now points to mail hosts that were never seen before.", Us,
			"Ask the recipient's administrator, by telephone, whether they moved their mail; if so `postern peers " +
				"approve DOMAIN NAME`, otherwise somebody may be diverting mail.", "7.1", reportNothing},
		{MXLoop, OfTheWay,
			"The recipient's domain points back to this gateway, which would deliver to itself for ever.", Us,
			"Add the domain as `[[domain]]` with `deliver_to` if it is yours, or give it a `[[route]]`; otherwise " +
				"its MX records are wrong.", "4.6", reportNothing},
		{MXPrivate, OfTheWay, "The mail host has only addresses of networks this gateway must not deliver to.", Them,
			"The domain's owner must publish public addresses; if the host is meant, add a `[[route]]` for it or " +
				"change `deny_networks`.", "4.4", reportNothing},
	}
}

// connectReasons are about reaching the host and its greeting. Statuses: RFC 3463 §3.4, §3.5.
func connectReasons() []Info {
	return []Info{
		{ConnectRefused, OfTheWay, "The mail host refused the connection.", Them,
			"Check with `nc -v HOST 25` from this gateway: the host's mail server must run and its firewall must " +
				"let port 25 through.", "4.1", reportNothing},
		{ConnectTimeout, OfTheWay, "The mail host did not answer the connection attempt in time.", Network,
			"Check with `nc -v HOST 25` from this gateway: a firewall on either side drops port 25, or the host is " +
				"down.", "4.1", reportNothing},
		{ConnectUnreach, OfTheWay, "There is no network route to the mail host.", Network,
			"Check this gateway's routes for the host's address; for IPv6 addresses, check that IPv6 works here at " +
				"all.", "4.1", reportNothing},
		{GreetingTimeout, OfTheWay, "The mail host accepted the connection but did not greet in time.", Them,
			"The host's administrator must see why the server stays silent; often it is overloaded or looks up our " +
				"address too slowly.", "4.2", reportNothing},
		{GreetingRefused, OfTheWay, "The mail host greeted with a refusal.", Them,
			"Read the server's reply in the trace: often our address is on a block list or lacks reverse DNS.", "3.2",
			reportNothing}, {EHLORefused, OfTheWay, "The mail host refused our EHLO.", Them,
			"Read the server's reply in the trace; check that `hostname` is a name that resolves to this gateway's " +
				"address.", "5.0", reportNothing},
	}
}

// tlsReasons are about getting a TLS channel at all. Statuses: RFC 3463 §3.8.
func tlsReasons() []Info {
	return []Info{
		{StartTLSNotOffered, OfTLS, "The mail host does not offer TLS.", Them,
			"The host's administrator must install a certificate and enable STARTTLS; check with `openssl s_client " +
				"-starttls smtp -connect HOST:25`.", "7.4", reportNoTLS},
		{StartTLSStripped, OfTLS, "The mail host's offer of TLS was removed on the way: a firewall is rewriting SMTP.",
			Network,
			"Turn off SMTP inspection (\"fixup\", \"ESMTP inspection\") for port 25 on the firewalls on both sides.",
			"7.4", reportNoTLS},
		{StartTLSRefused, OfTLS, "The mail host offered TLS but refused to start it.", Them,
			"Read the server's reply in the trace; its administrator must look for a missing or unreadable " +
				"certificate or key.", "7.4", reportNoTLS},
		{TLSHandshake, OfTLS, "The TLS handshake failed.", Them,
			"Read the remote text in the trace; compare with `openssl s_client -starttls smtp -connect HOST:25` " +
				"run on this gateway.", "7.5", reportFailed},
		{TLSAlert, OfTLS, "The mail host broke off the TLS handshake with an alert.", Them,
			"The alert's name in the trace says what the host disliked; its administrator finds the same moment in " +
				"the server's log.", "7.5", reportFailed},
		{TLSVersion, OfTLS, "The mail host speaks no version of TLS that is allowed.", Them,
			"The host's administrator must enable TLS 1.2 or 1.3; or lower the rule's `min_tls` if an old version " +
				"is acceptable, then `postern queue release --rejudge`: waiting mail keeps what it has.", "7.5",
			reportFailed},
		{TLSNoSharedCipher, OfTLS,
			"The mail host and this gateway have no cipher or key exchange in common that is allowed.", Them,
			"The host's administrator must enable ECDHE with AES-GCM or ChaCha20-Poly1305; or what the rule's " +
				"`min_bits` and `key_exchange` demand.", "7.5", reportFailed},
		{TLSTimeout, OfTLS, "The mail host agreed to start TLS and then fell silent.", Network,
			"A firewall may be swallowing the handshake (try a smaller MTU), or the server hangs; its log at this " +
				"moment tells which.", "7.5", reportFailed},
		{TLSClosed, OfTLS, "The connection was cut during the TLS handshake.", Network,
			"A firewall that does not let TLS through on port 25 is the usual cause; otherwise the server's log at " +
				"this moment tells why.", "7.5", reportFailed},
	}
}

// certReasons are about what the certificate proves. Statuses: RFC 3463 §3.8.
func certReasons() []Info {
	return []Info{
		{CertExpired, OfCertificate, "A certificate of the mail host has expired.", Them,
			"The host's administrator must renew the certificate the text names and reload the server.", "7.5",
			reportExpired},
		{CertNotYetValid, OfCertificate, "A certificate of the mail host is not valid yet.", Them,
			"Check the clocks of both servers; if they are right, the host must use another certificate until the " +
				"date given.", "7.5", reportNotTrusted},
		{CertSelfSigned, OfCertificate, "The mail host's certificate is self-signed, so nobody vouches for it.", Them,
			"The host needs a certificate of a public CA; or trust this one in the rule, by `trust` with its file: " +
				"waiting mail follows the rule.", "7.5", reportNotTrusted},
		{CertUntrusted, OfCertificate, "The mail host's certificate does not chain to a trusted root.", Them,
			"The host needs a certificate of a public CA; or, if this CA is the right one, name its root in the " +
				"rule's `trust`: waiting mail follows the rule.", "7.5", reportNotTrusted},
		{CertIncompleteChain, OfCertificate,
			"The mail host did not send the certificate of the CA that issued its own.", Them,
			"The host's administrator must configure the full chain (often called fullchain.pem), the server's " +
				"certificate first.", "7.5", reportNotTrusted},
		{CertNameMismatch, OfCertificate, "The mail host's certificate is for other names than the one expected.", Them,
			"The host needs a certificate whose DNS names include the expected one; or, if a presented name is " +
				"right, put it in the rule's `names`: waiting mail follows the rule.", "7.5", reportHostname},
		{CertRevoked, OfRevocation, "The mail host's certificate was revoked by its issuer.", Them,
			"The host's administrator must obtain a new certificate at once; the old key may be in wrong hands.", "7.5",
			reportNotTrusted},
		{RevocationUnknown, OfRevocation, "Whether the mail host's certificate is revoked could not be found out.",
			Network,
			"Check that this gateway reaches the CA's OCSP and CRL addresses over HTTP; where the certificate " +
				"promises a stapled OCSP answer, the host must staple one; or set the rule's `revocation` to " +
				"\"check\" or \"off\", then `postern queue release --rejudge`: waiting mail keeps what it has.", "7.5",
			reportFailed},
		{CertWeak, OfCertificate, "A key or signature in the mail host's chain is too weak to prove anything.", Them,
			"The host needs a certificate with an RSA key of 2048 bits or an ECDSA P-256 key, signed with SHA-256.",
			"7.5", reportNotTrusted},
		{CertNameConstraint, OfCertificate, "A CA in the mail host's chain may not issue certificates for this name.",
			Them, "The host needs a certificate of a CA that may speak for its name.", "7.5", reportNotTrusted},
		{CertUsage, OfCertificate, "A certificate in the mail host's chain is not meant for this use.", Them,
			"The host needs a server certificate (extended key usage serverAuth) issued below proper CA certificates.",
			"7.5", reportNotTrusted},
		{PinMismatch, OfCertificate, "None of the pinned keys is in the mail host's chain.", Us,
			"Ask the recipient's administrator whether the key changed; if so put the new digest into the rule's " +
				"`pins` (waiting mail follows it; pins that are only removed need `postern queue release " +
				"--rejudge`), otherwise somebody may be in the middle.", "7.5", reportNotTrusted},
	}
}

// publishedReasons are about policies the recipient's domain publishes. Statuses: RFC 3463 §3.8, RFC 8689 §5.
func publishedReasons() []Info {
	return []Info{
		{DANEMismatch, OfPublished,
			"The mail host's certificate matches none of the TLSA records its domain publishes.", Them,
			"The domain's owner must publish the TLSA record of the new key, or put the old certificate back.", "7.5",
			reportFailed},
		{DANEUnusable, OfPublished, "The TLSA records the domain publishes cannot be used.", Them,
			"The domain's owner must correct them: usage 3 or 2, selector 0 or 1, matching type 1 or 2, whole digests.",
			"7.5", reportTLSA},
		{STSMXMismatch, OfPublished, "The mail host is not among those the domain's MTA-STS policy allows.", Them,
			"The domain's owner must bring its MX records and the mx lines of its MTA-STS policy into line.", "7.5",
			reportFailed},
		{STSPolicyUnavailable, OfPublished, "It could not be found out which MTA-STS policy the domain has.", Them,
			"The text says what failed: the domain's owner must have DNS answer for _mta-sts.DOMAIN, and serve " +
				"https://mta-sts.DOMAIN/.well-known/mta-sts.txt with a valid certificate.",
			"7.5", reportPolicyFetch},
		{RequireTLSNotOffered, OfPublished, "The sender asked for REQUIRETLS and the mail host does not offer it.",
			Them,
			"The recipient's server must support RFC 8689; or send the message again without REQUIRETLS.", "7.30",
			reportNothing},
	}
}

// remoteReasons are the peer's own answers and the end of patience. The peer's status, where it gave one, replaces
// ours.
func remoteReasons() []Info {
	return []Info{
		{Remote4xx, OfAnswer, "The recipient's server refused for now.", Them,
			"Read the server's reply in the trace; the message is tried again by itself.", "0.0", reportNothing},
		{Remote5xx, OfAnswer, "The recipient's server refused for good.", Them,
			"Read the server's reply: it says what must change before the message is sent again.", "0.0",
			reportNothing},
		{RemoteClosed, OfAnswer, "The recipient's server closed the connection in the middle of the conversation.",
			Them,
			"The message is tried again by itself; if it goes on, the server's log at this moment tells why.", "4.2",
			reportNothing},
		{RemoteTimeout, OfAnswer, "The recipient's server stopped answering in the middle of the conversation.",
			Network,
			"The message is tried again by itself; if large messages fail always, suspect the path's MTU or a " +
				"firewall.", "4.2", reportNothing},
		{PolicyUnavailable, OfOurs, "The rules or the trusted roots could not be read, so nothing was sent.", Us,
			"Run `postern config check` and repair what it names; waiting mail goes by itself afterwards.", "3.0",
			reportNothing},
		{ExpiredInQueue, OfOurs, "The message waited for its whole lifetime and could not be delivered.", Them,
			"Read the last attempt in the trace: its reason says what must be repaired before the message is sent " +
				"again.", "4.7", reportNothing},
	}
}

package check

import "postern/internal/policy"

// advice says what the other side can do about a reason, in words for them. The table of reasons speaks to our own
// administrator and names means that they do not have.
func advice(r policy.Reason) string {
	if text, ok := adviceTexts[r]; ok {
		return text
	}
	return r.Info().Text + " The mail server's log of that moment will say more."
}

var adviceTexts = map[policy.Reason]string{
	policy.DNSServfail: "The name servers of the domain answer with a failure. Please look at their logs and at " +
		"the validity of the DNSSEC signatures.",
	policy.DNSTimeout: "The name servers of the domain did not answer us. Please check that all of them can be " +
		"reached over UDP and TCP.",
	policy.DNSNoAddress: "The name in the MX record has no address. Please add an A or AAAA record for it, or " +
		"correct the MX record.",
	policy.DNSSECBogus: "The DNSSEC signatures of the domain do not verify. They may have expired, or the DS " +
		"record no longer fits the keys.",
	policy.MXPrivate: "The MX record leads to an address that cannot be reached from outside. Please publish " +
		"a public one.",
	policy.ConnectRefused: "Nothing accepts connections at this port. Please check that the mail server runs and " +
		"that the firewall lets port 25 through.",
	policy.ConnectTimeout: "Connections to this address are not answered. Please check whether the host is up and " +
		"whether a firewall drops port 25.",
	policy.ConnectUnreach: "There is no route to this address. Please check whether it is still in use.",
	policy.GreetingTimeout: "The server accepts the connection and does not greet. It may be overloaded, or wait " +
		"for a look-up of our address that takes too long.",
	policy.GreetingRefused: "The server refuses us before anything is said. The log of the server says why; a " +
		"block list is a common cause.",
	policy.EHLORefused:        "The server refuses our EHLO. The log of the server says why.",
	policy.StartTLSNotOffered: "Please install a certificate and turn on STARTTLS for incoming mail.",
	policy.StartTLSStripped: "The offer of STARTTLS is overwritten on the way. Please look for a firewall that " +
		"inspects SMTP (\"fixup\", \"ESMTP inspection\") and turn that off for port 25.",
	policy.StartTLSRefused: "The server offers STARTTLS and then refuses to start it. A missing or unreadable " +
		"certificate or key is a common cause.",
	policy.TLSHandshake: "The handshake fails on the server's side. Its log of that moment, or the command " +
		"below, will say more.",
	policy.TLSAlert: "The server breaks off the handshake with the alert named above. Its log of that " +
		"moment says what it disliked.",
	policy.TLSVersion:        "Please enable TLS 1.2 or, better, TLS 1.3.",
	policy.TLSNoSharedCipher: "Please enable the usual cipher suites: ECDHE with AES-GCM or ChaCha20-Poly1305.",
	policy.TLSTimeout: "The server agrees to start TLS and then falls silent. A firewall that drops large packets, " +
		"or a path with a small MTU, is a common cause.",
	policy.TLSClosed: "The connection is cut during the handshake. Please look at the server's log, and for a " +
		"firewall that does not let TLS through on port 25.",
	policy.CertExpired: "Please renew the certificate and reload the mail server; it may still hold the old " +
		"one in memory.",
	policy.CertNotYetValid: "Please check the clock of the server where the certificate was made, or use the " +
		"earlier certificate until the date above.",
	policy.CertSelfSigned: "Please use a certificate of a public certificate authority.",
	policy.CertUntrusted: "Please use a certificate of a public certificate authority; or tell us if the one " +
		"above is to be trusted, and we settle how.",
	policy.CertIncompleteChain: "Please configure the full chain: the server's certificate first, then the " +
		"intermediate certificate of its issuer. The file is often called fullchain.pem.",
	policy.CertNameMismatch: "Please use a certificate whose DNS names (subject alternative names) include the " +
		"name expected above. The common name does not count.",
	policy.CertRevoked: "The certificate was revoked by its issuer. Please obtain a new one with a new key.",
	policy.CertWeak: "Please use a certificate with an RSA key of at least 2048 bits or an ECDSA key on P-256, " +
		"signed with SHA-256, and an issuer that does the same.",
	policy.CertNameConstraint: "The issuer may not issue certificates for this name. Please use another issuer.",
	policy.CertUsage: "Please use a certificate that is meant for servers (extended key usage " +
		"serverAuth), below proper CA certificates.",
}

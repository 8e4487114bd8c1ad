package policy

// Reason is a stable code for why something fell short, used unchanged in log, trace, DSN, metrics, TLSRPT, console
// and check. "" means nothing fell short. The list is closed (design.md §5); Info explains each.
type Reason string

// The reasons, in the order of a delivery's life.
const (
	DNSNXDomain    Reason = "dns-nxdomain"
	DNSServfail    Reason = "dns-servfail"
	DNSTimeout     Reason = "dns-timeout"
	DNSNullMX      Reason = "dns-null-mx"
	DNSNoAddress   Reason = "dns-no-address"
	DNSSECBogus    Reason = "dnssec-bogus"
	MXUnproven     Reason = "mx-unproven"
	MXChanged      Reason = "mx-changed"
	MXLoop         Reason = "mx-loop"
	MXPrivate      Reason = "mx-private-address"
	ConnectRefused Reason = "connect-refused"
	ConnectTimeout Reason = "connect-timeout"
	ConnectUnreach Reason = "connect-unreachable"

	GreetingTimeout Reason = "greeting-timeout"
	GreetingRefused Reason = "greeting-refused"
	EHLORefused     Reason = "ehlo-refused"

	StartTLSNotOffered Reason = "starttls-not-offered"
	StartTLSStripped   Reason = "starttls-stripped"
	StartTLSRefused    Reason = "starttls-refused"

	TLSHandshake      Reason = "tls-handshake"
	TLSAlert          Reason = "tls-alert"
	TLSVersion        Reason = "tls-version"
	TLSNoSharedCipher Reason = "tls-no-shared-cipher"
	TLSTimeout        Reason = "tls-timeout"
	TLSClosed         Reason = "tls-closed"

	CertExpired         Reason = "cert-expired"
	CertNotYetValid     Reason = "cert-not-yet-valid"
	CertSelfSigned      Reason = "cert-self-signed"
	CertUntrusted       Reason = "cert-untrusted"
	CertIncompleteChain Reason = "cert-incomplete-chain"
	CertNameMismatch    Reason = "cert-name-mismatch"
	CertRevoked         Reason = "cert-revoked"
	RevocationUnknown   Reason = "revocation-unknown"
	CertWeak            Reason = "cert-weak"
	CertNameConstraint  Reason = "cert-name-constraint"
	CertUsage           Reason = "cert-usage"
	PinMismatch         Reason = "pin-mismatch"

	DANEMismatch         Reason = "dane-mismatch"
	DANEUnusable         Reason = "dane-unusable"
	STSMXMismatch        Reason = "sts-mx-mismatch"
	STSPolicyUnavailable Reason = "sts-policy-unavailable"
	RequireTLSNotOffered Reason = "requiretls-not-offered"

	Remote4xx     Reason = "remote-4xx"
	Remote5xx     Reason = "remote-5xx"
	RemoteClosed  Reason = "remote-closed"
	RemoteTimeout Reason = "remote-timeout"

	PolicyUnavailable Reason = "policy-unavailable"
	ExpiredInQueue    Reason = "expired-in-queue"
)

// Who says who has to act on a reason.
type Who string

// The parties of design.md §5.
const (
	Us      Who = "us"
	Them    Who = "them"
	Network Who = "network"
)

// Class says what a Reason is about, for whoever treats like reasons alike.
type Class string

// The classes, in the order of a delivery's life.
const (
	OfTheWay      Class = "way"         // the way to the host: DNS, connection, greeting
	OfMailHost    Class = "mail host"   // whether the name of the mail host can be believed
	OfTLS         Class = "tls"         // a TLS channel at all
	OfCertificate Class = "certificate" // what the certificate and its chain prove
	OfRevocation  Class = "revocation"  // whether the certificate was revoked
	OfPublished   Class = "published"   // a policy that the domain or the sender declares
	OfAnswer      Class = "answer"      // the peer's answer, or the lack of one
	OfOurs        Class = "ours"        // our own side, and the end of patience
)

// Class returns what r is about, "" for no reason.
func (r Reason) Class() Class {
	if r == "" {
		return ""
	}
	return r.Info().Class
}

// AboutProtection reports whether reasons of this class say that the channel or the peer's proof fell short, rather
// than the way there or the peer's answer.
func (c Class) AboutProtection() bool {
	return c == OfMailHost || c == OfTLS || c == OfCertificate || c == OfRevocation || c == OfPublished
}

// Info is what people and protocols are told about a Reason.
type Info struct {
	Reason Reason
	// Class is what it is about.
	Class Class
	// Text is one sentence: what happened.
	Text string
	// Who must act.
	Who Who
	// Hint can be followed by whoever must act.
	Hint string
	// Status is the enhanced status code without its class: "7.5" (RFC 3463). The class is 4 while a delivery waits
	// and 5 when it has failed.
	Status string
	// TLSRPT is the result type of RFC 8460 §4.3, "" where no TLS policy failed.
	TLSRPT string
}

package received

import (
	"net/netip"
	"strings"
	"time"
)

// MaxLine bounds what Parse reads of one line, in bytes. Honest lines have a few hundred.
const MaxLine = 16 << 10

// Channel is what a line says about the encryption of its hop. The zero value says nothing.
type Channel int

const (
	Silent    Channel = iota // nothing is said, or it contradicts itself
	Plain                    // the line says that there was no TLS
	Encrypted                // the line says that there was TLS
)

// Form is the stamp form a line was recognised by: the program that writes such lines.
type Form string

// The forms that Parse tells apart.
const (
	Postern     Form = "postern"
	Postfix     Form = "postfix"
	PostfixLike Form = "postfix-like" // Postfix's TLS comment under another name
	Exim        Form = "exim"
	Exchange    Form = "exchange" // and Office 365
	Gmail       Form = "gmail"
	Sendmail    Form = "sendmail" // and its descendants
	Qmail       Form = "qmail"    // netqmail, notqmail, s/qmail, IndiMail
	OpenSMTPD   Form = "opensmtpd"
	Mox         Form = "mox"
	Stalwart    Form = "stalwart"
	Haraka      Form = "haraka"
	Courier     Form = "courier"
	Amavis      Form = "amavis"
	Cyrus       Form = "cyrus"
	James       Form = "james" // and providers that run it
	IronPort    Form = "ironport"
	Mimecast    Form = "mimecast"
	CommuniGate Form = "communigate"
	Other       Form = "other"
)

// ClientCert is what a line says about a client certificate.
type ClientCert string

// The states of a client certificate. The zero value says nothing.
const (
	ClientCertNotRequested ClientCert = "not requested"
	ClientCertNone         ClientCert = "requested, none presented"
	ClientCertUnverified   ClientCert = "presented, not verified"
	ClientCertVerified     ClientCert = "verified"
)

// Line is the facts of one Received line, as its writer states them. Every text may be hostile. The zero value is a
// line that says nothing.
type Line struct {
	Form Form

	Helo string     // what the peer called itself
	Name string     // the name of the peer's address, looked up by the writer; "" if unknown
	IP   netip.Addr // the peer's address; invalid if not given
	By   string     // the writer's name for itself
	ByIP netip.Addr // the writer's own address; invalid if not given

	With string // the protocol as written: "ESMTPS", "Microsoft SMTP Server"
	ID   string
	For  string    // the recipient, without angle brackets
	Date time.Time // zero if there is none that can be read

	TLS       Channel
	Version   string // "TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1" or as written
	Cipher    string // as written
	Bits      int    // of the cipher's key in use; 0 if not said
	BitsTotal int    // of the cipher's key in all; 0 if not said
	Group     string // key exchange: "X25519", "P-256", "DHE 2048 bits"
	Signature string // the server's key or signature: "ECDSA", "RSA-PSS"
	Client    ClientCert
	ClientCN  string // of a presented certificate

	// Inside is true where the line records no way over a network: from one program to the next on one host, or
	// inside the writer's own system without a word about where it came from.
	Inside bool
	// SameHost is true where the line names its peer, and the peer is the writer's own host. It implies Inside.
	SameHost bool
	// NameChecked is true where programs of this form print Name only if it leads back to IP.
	NameChecked bool

	// Doubtful is true where from, by or with stands there twice, as when a peer's word broke out of its place.
	Doubtful bool

	Notes []string // what a reader should know, one sentence each without a full stop
}

func (l *Line) note(text string) { l.Notes = append(l.Notes, text) }

// unfolded makes one kind of blank of all that folding can put in the place of another, inside quotes too.
var unfolded = strings.NewReplacer("\t", " ", "\r", " ", "\n", " ")

// Parse reads the value of one Received field: what follows the colon, folded or not. It never fails; what it cannot
// find stays empty, and what looks wrong is in Notes. It reads no more than MaxLine bytes.
func Parse(value string) Line {
	var l Line
	if len(value) > MaxLine {
		value = value[:MaxLine]
		l.note("the line is absurdly long; only its beginning was read")
	}
	tokens := tokenize(unfolded.Replace(value))
	before, behind, date := cutDate(tokens)
	l.Date = date
	c := splitClauses(before)
	c.takeAfterDate(behind)
	l.Form = recognise(c)
	l.readBy(c)
	l.readFrom(c)
	l.With = strings.Join(c.words("with"), " ")
	l.ID = strings.Trim(c.word("id"), "<>,;")
	l.For = recipient(c.words("for"))
	l.readInside(c)
	l.readTLS(c)
	l.review(c)
	return l
}

// recipient takes the address out of a for clause.
func recipient(words []string) string {
	if len(words) == 0 {
		return ""
	}
	w := strings.TrimRight(words[0], ",")
	if strings.HasPrefix(w, "<") && strings.HasSuffix(w, ">") {
		return w[1 : len(w)-1]
	}
	return w
}

// review notes what is missing or contradicts itself.
func (l *Line) review(c clauses) {
	for _, name := range c.repeated {
		l.note(`the clause "` + name + `" stands there twice; the first was read`)
		l.Doubtful = l.Doubtful || name == "from" || name == "by" || name == "with"
	}
	if l.By == "" && l.Form != Qmail {
		l.note("the line does not say who wrote it")
	}
	if l.Date.IsZero() {
		l.note("no date that can be read")
	}
	if obsolete(l.Version) {
		l.note(l.Version + " is obsolete")
	}
	if l.Bits > 0 && l.Bits < 112 {
		l.note("the cipher's key is short enough to be found by trying")
	}
	if anonymous(l.Cipher) {
		l.note("the cipher proves nobody's identity to anybody")
	}
}

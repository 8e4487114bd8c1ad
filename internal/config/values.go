package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"postern/internal/mail"
)

// Duration is a time.Duration written as "90s", "24h", "1h30m" or as a plain number of seconds.
type Duration struct{ time.Duration }

// UnmarshalText reads the written form. A negative duration is refused.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	parsed, err := time.ParseDuration(s)
	if seconds, numErr := strconv.ParseUint(s, 10, 31); numErr == nil {
		parsed, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || parsed < 0 {
		return fmt.Errorf("%q is not a duration; write \"90s\", \"30m\", \"24h\" or a number of seconds", s)
	}
	d.Duration = parsed
	return nil
}

// MarshalText writes the form people write: no trailing zero units.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is the written form.
func (d Duration) String() string {
	s := d.Duration.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Path is a file name. Load makes a relative one absolute: relative to the folder of the configuration file.
type Path string

// Recipients says who knows the mailboxes of a domain: RecipientsAsk, RecipientsAny, or the file of a list. Load makes
// its path absolute, and RecipientsAsk of an empty one.
type Recipients string

// The words that are no file.
const (
	RecipientsAsk Recipients = "ask"
	RecipientsAny Recipients = "any"
)

// File is the file of a list, "" where there is none.
func (r Recipients) File() string {
	if r == RecipientsAsk || r == RecipientsAny {
		return ""
	}
	return string(r)
}

// HostPort is a host and a port. Exactly one of Host and IP is set.
type HostPort struct {
	Host mail.Domain
	IP   netip.Addr
	Port uint16
}

// smtpPort is meant where no port was written.
const smtpPort = 25

// UnmarshalText reads "mx.test:25", "mx.test", "192.0.2.1:25", "192.0.2.1", "[2001:db8::1]:25" or "2001:db8::1".
func (h *HostPort) UnmarshalText(text []byte) error {
	s := string(text)
	if ip, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		*h = HostPort{IP: ip, Port: smtpPort}
		return nil
	}
	host, portText, hasPort := cutPort(s)
	port := uint64(smtpPort)
	if hasPort {
		var err error
		if port, err = strconv.ParseUint(portText, 10, 16); err != nil || port == 0 {
			return fmt.Errorf("%q has no port between 1 and 65535 after the colon", s)
		}
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		*h = HostPort{IP: ip, Port: uint16(port)}
		return nil
	}
	d, err := mail.ParseDomain(host)
	if err != nil {
		return fmt.Errorf("%q is not \"host:port\": %w", s, err)
	}
	*h = HostPort{Host: d, Port: uint16(port)}
	return nil
}

func cutPort(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	return strings.Trim(s[:i], "[]"), s[i+1:], true
}

// String is the written form, with the port.
func (h HostPort) String() string {
	if h.IP.IsValid() {
		return netip.AddrPortFrom(h.IP, h.Port).String()
	}
	return h.Host.String() + ":" + strconv.Itoa(int(h.Port))
}

// MarshalText writes the form String returns.
func (h HostPort) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// Server is the address of a DNS resolver.
type Server struct{ netip.AddrPort }

// UnmarshalText reads "192.0.2.1", "192.0.2.1:53", "2001:db8::1" or "[2001:db8::1]:53"; the port is 53 unless given.
func (s *Server) UnmarshalText(text []byte) error {
	if ip, err := netip.ParseAddr(string(text)); err == nil {
		s.AddrPort = netip.AddrPortFrom(ip, 53)
		return nil
	}
	ap, err := netip.ParseAddrPort(string(text))
	if err != nil || ap.Port() == 0 {
		return fmt.Errorf("%q is not the address of a resolver; write \"192.0.2.1\" or \"192.0.2.1:53\"", text)
	}
	s.AddrPort = ap
	return nil
}

// Mode is how a listener speaks.
type Mode string

// The modes.
const (
	ModeSMTP       Mode = "smtp"
	ModeSMTPS      Mode = "smtps"
	ModeSubmission Mode = "submission"
	ModeWeb        Mode = "web"
	ModeACME       Mode = "acme"
)

// UnmarshalText reads a mode's name.
func (m *Mode) UnmarshalText(text []byte) error {
	switch v := Mode(text); v {
	case ModeSMTP, ModeSMTPS, ModeSubmission, ModeWeb, ModeACME:
		*m = v
		return nil
	}
	return fmt.Errorf("unknown mode %q, want smtp, smtps, submission, web or acme", text)
}

// TakesMail reports whether clients bring mail there.
func (m Mode) TakesMail() bool { return m != ModeWeb && m != ModeACME }

// Roots names the public roots: "system", "bundled" or a file.
type Roots string

// The roots that are not files.
const (
	RootsSystem  Roots = "system"
	RootsBundled Roots = "bundled"
)

// LogLevel is the least important level that is written.
type LogLevel string

// UnmarshalText reads a level's name.
func (l *LogLevel) UnmarshalText(text []byte) error {
	switch v := LogLevel(text); v {
	case "debug", "info", "warn", "error":
		*l = v
		return nil
	}
	return fmt.Errorf("unknown log level %q, want debug, info, warn or error", text)
}

// Slog returns the level in the form log/slog takes.
func (l LogLevel) Slog() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l)); err != nil {
		return slog.LevelInfo
	}
	return level
}

// LogFormat is the form of log lines.
type LogFormat string

// UnmarshalText reads a format's name.
func (f *LogFormat) UnmarshalText(text []byte) error {
	switch v := LogFormat(text); v {
	case "text", "json":
		*f = v
		return nil
	}
	return fmt.Errorf("unknown log format %q, want text or json", text)
}

// Extension is the EHLO keyword of an extension that mail can be sent without.
type Extension string

// UnmarshalText reads a keyword in any case.
func (e *Extension) UnmarshalText(text []byte) error {
	switch v := Extension(strings.ToLower(string(text))); v {
	case "pipelining", "chunking", "8bitmime", "smtputf8", "dsn", "size":
		*e = v
		return nil
	}
	return fmt.Errorf("unknown extension %q, want pipelining, chunking, 8bitmime, smtputf8, dsn or size", text)
}

// TrustAD says whose word is believed that an answer of DNS is signed.
type TrustAD string

// The values.
const (
	TrustADLoopback TrustAD = "loopback"
	TrustADYes      TrustAD = "yes"
	TrustADNo       TrustAD = "no"
)

// UnmarshalText reads a value.
func (t *TrustAD) UnmarshalText(text []byte) error {
	switch v := TrustAD(text); v {
	case TrustADLoopback, TrustADYes, TrustADNo:
		*t = v
		return nil
	}
	return fmt.Errorf("unknown value %q, want loopback, yes or no", text)
}

// Keeping says whether what others publish is kept to.
type Keeping string

// The values.
const (
	KeepingEnforce Keeping = "enforce"
	KeepingObserve Keeping = "observe"
	KeepingOff     Keeping = "off"
)

// UnmarshalText reads a value.
func (k *Keeping) UnmarshalText(text []byte) error {
	switch v := Keeping(text); v {
	case KeepingEnforce, KeepingObserve, KeepingOff:
		*k = v
		return nil
	}
	return fmt.Errorf("unknown value %q, want enforce, observe or off", text)
}

// Mode is the value as policy.Published.Mode has it, "" for off.
func (k Keeping) Mode() string {
	if k == KeepingOff {
		return ""
	}
	return string(k)
}

// Signed8Bit is what becomes of signed content with 8-bit octets where 8BITMIME is missing.
type Signed8Bit string

// The values; "" in a route is that of the delivery.
const (
	Signed8BitConvert Signed8Bit = "convert"
	Signed8BitBounce  Signed8Bit = "bounce"
)

// UnmarshalText reads a value.
func (s *Signed8Bit) UnmarshalText(text []byte) error {
	switch v := Signed8Bit(text); v {
	case Signed8BitConvert, Signed8BitBounce:
		*s = v
		return nil
	}
	return fmt.Errorf("unknown value %q, want convert or bounce", text)
}

// RatchetMode is what follows when a server that always had TLS has none.
type RatchetMode string

// The modes.
const (
	RatchetOff  RatchetMode = "off"
	RatchetWarn RatchetMode = "warn"
	RatchetHold RatchetMode = "hold"
)

// UnmarshalText reads a mode's name.
func (m *RatchetMode) UnmarshalText(text []byte) error {
	switch v := RatchetMode(text); v {
	case RatchetOff, RatchetWarn, RatchetHold:
		*m = v
		return nil
	}
	return fmt.Errorf("unknown ratchet %q, want off, warn or hold", text)
}

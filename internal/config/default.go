package config

import (
	"net/netip"
	"path/filepath"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
)

// Default returns the configuration of an empty file, before anything that depends on the machine is filled in. It is
// the one place of every default.
func Default() *Config {
	return &Config{
		Data:  "/var/lib/postern",
		Relay: Relay{Require: policy.Plaintext, BareNewline: BareNormalize},
		Policies: Policies{DANE: KeepingEnforce, STS: KeepingEnforce, STSTimeout: Duration{10 * time.Second},
			TLSRequiredNo: true},
		DNS: DNS{TrustAD: TrustADLoopback, ClientNames: true, ClientNamesWait: Duration{2 * time.Second},
			ClientNamesTimeout: Duration{5 * time.Second},
			ClientNamesLookups: 64, ClientNamesRemembered: 20_000, ClientNamesFor: Duration{10 * time.Minute}},
		Asking: Asking{Wait: Duration{20 * time.Second}, Pause: Duration{30 * time.Second},
			Known:   Duration{24 * time.Hour},
			Unknown: Duration{15 * time.Minute}, Remembered: 100_000, ConnectionsPerServer: 4, Connections: 64},
		Delivery: Delivery{
			Port:               smtpPort,
			DenyNetworks:       prefixes("127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10"),
			Retry:              durations(time.Minute, 5*time.Minute, 15*time.Minute, 30*time.Minute, time.Hour),
			Lifetime:           Duration{mail.Lifetime},
			DelayNotice:        Duration{2 * time.Hour},
			Signed8Bit:         Signed8BitConvert,
			UnsignedNo:         Duration{time.Hour},
			LegacyTLS:          true,
			Connections:        200,
			ConnectionsPerSite: 5,
			SlowAfter:          Duration{10 * time.Second},
			ProvenFor:          Duration{7 * 24 * time.Hour},
			IdleTime:           Duration{10 * time.Second},
			ConnectTimeout:     Duration{30 * time.Second},
			AttemptTimeout:     Duration{5 * time.Minute},
			RevocationTimeout:  Duration{10 * time.Second},
			Ratchet:            RatchetWarn,
			RatchetAfter:       5,
			RatchetDays:        3,
			RatchetHold:        Duration{4 * time.Hour},
		},
		TLS:   TLS{PartnerPage: true},
		Trust: Trust{Roots: RootsSystem},
		Limits: Limits{
			MessageSize:          150_000_000,
			HeaderSize:           1 << 20,
			Connections:          12_000,
			ConnectionsPerClient: 100,
			Recipients:           1000,
			CommandLine:          512,
			Hops:                 50,
			BadCommands:          20,
			NoopCommands:         100,
			CommandTimeout:       Duration{5 * time.Minute},
			CrowdedTimeout:       Duration{10 * time.Second},
			HandshakeTimeout:     Duration{time.Minute},
			ProxyTimeout:         Duration{5 * time.Second},
			DataTimeout:          Duration{5 * time.Minute},
			SessionTime:          Duration{time.Hour},
			TransactionTime:      Duration{4 * time.Hour},
			DataRate:             500,
			LoginFailures:        10,
			LoginWindow:          Duration{15 * time.Minute},
			DrainTime:            Duration{30 * time.Second},
		},
		Queue: Queue{Retention: Duration{90 * 24 * time.Hour}, HeaderFields: true, NoticesPerAddress: 20,
			NoticesToStrangers: 2000}, Cluster: Cluster{Lease: Duration{30 * time.Second}},
		Admin: Admin{Listen: "127.0.0.1:8025", Console: true, Connections: 64, Streams: 8,
			SessionIdle: Duration{30 * time.Minute}, SessionTime: Duration{12 * time.Hour}},
		OIDC: OIDC{Claim: "email", Button: "Sign in with your organisation"},
		Log:  Log{Level: "info", Format: "text", Memory: 1 << 20},

		Process: Process{Sandbox: true},
	}
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

func durations(ds ...time.Duration) []Duration {
	out := make([]Duration, len(ds))
	for i, d := range ds {
		out[i] = Duration{d}
	}
	return out
}

// Path is the file the configuration was read from, "" for a Default.
func (c *Config) Path() string { return c.path }

// Socket is the control socket through which the command line reaches the running gateway.
func (c *Config) Socket() string { return filepath.Join(string(c.Data), "postern.sock") }

package mail_test

import (
	"strings"
	"testing"

	"postern/internal/mail"
)

func TestTLSRequiredNo(t *testing.T) {
	for header, want := range map[string]bool{
		"TLS-Required: No":                             true,
		"tls-required:no":                              true,
		"TLS-REQUIRED:\r\n NO":                         true,
		"TLS-Required: \tNo \t":                        true,
		"Subject: TLS-Required: No":                    false,
		"TLS-Required:":                                false,
		"TLS-Required: Yes":                            false,
		"TLS-Required: No (really)":                    false,
		"TLS-Required: No; x":                          false,
		"TLS-Required: =?utf-8?q?No?=":                 false,
		"TLS-Required: N\r\n o":                        false,
		"TLS-Required: No\r\nTLS-Required: No":         false,
		"TLS-Required: No\r\ntls-required: Yes":        false,
		"X-TLS-Required: No":                           false,
		"TLS-Required : No":                            true, // a blank before the colon, as old mail has it (RFC 5322 §4.5)
		"":                                             false,
		"TLS-Required: No\r\nX: " + manyLines(300_000): false,
	} {
		if got := mail.ParseHeader([]byte(header + "\r\n\r\nbody\r\nTLS-Required: No\r\n")).TLSRequiredNo(); got != want {
			t.Errorf("%.60q: %v", header, got)
		}
	}
}

// manyLines is a folded value of about n octets.
func manyLines(n int) string { return strings.Repeat("x\r\n ", n/4) + "x" }

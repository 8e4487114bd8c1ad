package examiner_test

import (
	"bytes"
	"crypto/rsa"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/check"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/policy"
)

// unreadable is a chain whose leaf crypto/x509 does not parse: the encoding of its serial number is not the shortest.
func unreadable(t *testing.T, chain [][]byte) [][]byte {
	t.Helper()
	out := [][]byte{bytes.Clone(chain[0])}
	at := bytes.Index(out[0], []byte{0xa0, 3, 2, 1, 2, 2}) // version 3, then the serial number
	if at < 0 {
		t.Fatal("no serial number")
	}
	out[0][at+7], out[0][at+8] = 0, 0
	return append(out, chain[1:]...)
}

// TestCheckTellsWhatAServerWouldLikeThatWeDoNotSpeak: every kind of server with which no handshake of ours completes,
// the reason of forced mail there, what check finds, and a word of it.
func TestCheckTellsWhatAServerWouldLikeThatWeDoNotSpeak(t *testing.T) {
	const dheAES, dheDSS, anon, rsaCamellia, ecdheAES = 0x009e, 0x0032, 0x0034, 0x0041, 0xc02f
	for name, c := range map[string]struct {
		clear  partner.Clear
		break_ bool // the leaf does not parse
		short  bool // the leaf's key has 512 bits
		reason policy.Reason
		code   string
		word   string
	}{
		"SSL 3.0 alone":                {clear: partner.Clear{Version: 0x0300, Suite: 0x000a}, reason: policy.TLSNoSharedCipher, code: check.SSL3Only, word: "SSLv3, TLS_RSA_WITH_3DES_EDE_CBC_SHA"},
		"SSL 3.0 and nobody else":      {clear: partner.Clear{Version: 0x0300, Suite: 0x0005, Strict: true}, reason: policy.TLSVersion, code: check.SSL3Only, word: "RC4"},
		"finite fields":                {clear: partner.Clear{Version: 0x0303, Suite: dheAES, PrimeBits: 1024}, reason: policy.TLSNoSharedCipher, code: check.DHEOnly, word: "DH 1024"},
		"finite fields of TLS 1.0":     {clear: partner.Clear{Version: 0x0301, Suite: dheDSS, PrimeBits: 512}, reason: policy.TLSNoSharedCipher, code: check.DHEOnly, word: "TLSv1, TLS_DHE_DSS_WITH_AES_128_CBC_SHA, DH 512"},
		"no certificate at all":        {clear: partner.Clear{Version: 0x0303, Suite: anon, PrimeBits: 2048}, reason: policy.TLSNoSharedCipher, code: check.AnonymousOnly, word: "proves nothing"},
		"a suite of its own":           {clear: partner.Clear{Version: 0x0303, Suite: rsaCamellia}, reason: policy.TLSNoSharedCipher, code: check.SuiteUnsupported, word: "CAMELLIA"},
		"a curve of its own":           {clear: partner.Clear{Version: 0x0303, Suite: ecdheAES, Curve: 26}, reason: policy.TLSHandshake, code: check.CurveUnsupported, word: "brainpoolP256r1"},
		"a certificate that is broken": {clear: partner.Clear{Version: 0x0303, Suite: ecdheAES, Curve: 29}, break_: true, reason: policy.TLSHandshake, code: check.CertificateUnreadable, word: "for mx1.clinic.test, issued by Test CA"},
		"broken and in finite fields":  {clear: partner.Clear{Version: 0x0303, Suite: dheAES, PrimeBits: 2048}, break_: true, reason: policy.TLSNoSharedCipher, code: check.CertificateUnreadable, word: "serial"},
		"a key that is too short":      {clear: partner.Clear{Version: 0x0303, Suite: ecdheAES, Curve: 29}, short: true, reason: policy.TLSHandshake, code: check.KeyUnsupported, word: "RSA with 512 bits"},
		"old, and broken later":        {clear: partner.Clear{Version: 0x0301, Suite: 0xc013, Curve: 29}, reason: policy.TLSVersion, code: check.LegacyOnly, word: "TLSv1, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, X25519"},
		"nothing newer":                {clear: partner.Clear{Version: 0x0301, Suite: 0xc013, Curve: 23, Strict: true}, reason: policy.TLSVersion, code: check.VersionIntolerant, word: "nothing newer than TLSv1 "},
		"a client certificate":         {clear: partner.Clear{Version: 0x0303, Suite: ecdheAES, Curve: 29, AsksClient: true}, reason: policy.TLSHandshake, code: check.ClientCertificateAsked, word: "certificate of ours"},
		"a key that does not fit":      {clear: partner.Clear{Version: 0x0303, Suite: ecdheAES, Curve: 29}, reason: policy.TLSHandshake, code: check.BreaksLater, word: "may not fit"},
		"nothing":                      {clear: partner.Clear{Version: 0x0303, Suite: 0xfefe}, reason: policy.TLSNoSharedCipher, code: check.NothingAccepted, word: "SSLv3: alert"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				options := pki.Options{Names: []string{"mx1.clinic.test"}}
				if c.short {
					options.Public = &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 511, 1), E: 65537}
				}
				chain := w.ca.Issue(options).TLS.Certificate
				if c.clear.Suite != anon {
					c.clear.Chain = chain
				}
				if c.break_ {
					c.clear.Chain = unreadable(t, chain)
				}
				w.mx("mx1.clinic.test", partner.Behaviour{Upgrade: c.clear.Upgrade})
				start := time.Now()
				r := w.check("clinic.test", nil)
				if took := time.Since(start); took > time.Minute {
					t.Errorf("it took %v", took)
				}
				if v := r.Find(check.ForceTLS); v.Reason != c.reason || v.Passes() {
					t.Errorf("forced mail: %q (%s), want %q", v.Reason, v.Text, c.reason)
				}
				if v := r.Find(check.Opportunistic); v.Reached != "plaintext" {
					t.Errorf("ordinary mail: %s %s", v.Outcome, v.Reached)
				}
				f := find(r, c.code)
				if f == nil || !strings.Contains(f.Text, c.word) || f.Who != policy.Them {
					t.Errorf("no finding %s that speaks of %q: %+v", c.code, c.word, r.Findings)
				}
				if letter := check.Letter(r, "gw.example.test"); !strings.Contains(strings.Join(strings.Fields(letter), " "), "Also: ") {
					t.Errorf("the letter does not speak of it:\n%s", letter)
				}
				trials := r.Hosts[0].Addresses[0].Trials
				if len(trials) == 0 || !trials[0].Probe {
					t.Errorf("no rows: %+v", trials)
				}
				if heard := w.spoken(); len(heard) > 0 {
					t.Fatalf("check spoke of mail: %q", heard)
				}
			})
		})
	}
}

func TestAServerWithWhichAHandshakeCompletesIsNotProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		cert(pki.Options{SelfSigned: true})(w)
		if trials := w.check("clinic.test", nil).Hosts[0].Addresses[0].Trials; len(trials) > 0 {
			t.Errorf("%+v", trials)
		}
	})
}

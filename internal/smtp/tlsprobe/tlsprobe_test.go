package tlsprobe

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"postern/internal/lab/pki"
)

func everySuite() []Suite {
	return Suites(func(s Suite) bool {
		return slices.ContainsFunc(tls.CipherSuites(), func(c *tls.CipherSuite) bool { return c.ID == uint16(s) })
	})
}

// record frames a handshake message.
func record(kind byte, body ...byte) []byte {
	m := append([]byte{kind, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
	return frame(recordHandshake, m)
}

func frame(kind byte, body []byte) []byte {
	return append([]byte{kind, 3, 1, byte(len(body) >> 8), byte(len(body))}, body...)
}

// serverHello is one of TLS 1.2 with a suite.
func serverHello(s Suite) []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	return record(messageServerHello, append(body, 0, byte(s>>8), byte(s), 0)...)
}

func TestSuitesHaveTheNamesAndKindsTheyHaveElsewhere(t *testing.T) {
	for _, c := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if !slices.Contains(c.SupportedVersions, tls.VersionTLS12) {
			continue // TLS 1.3's
		}
		s := Suite(c.ID)
		if s.String() != c.Name {
			t.Errorf("%#04x is %s, and %s in crypto/tls", c.ID, s, c.Name)
		}
		want := RSA
		if strings.Contains(c.Name, "ECDHE") {
			want = ECDHE
		}
		if s.Exchange() != want {
			t.Errorf("%s: %s", s, s.Exchange())
		}
	}
	if !slices.IsSortedFunc(table, func(a, b row) int { return int(a.id) - int(b.id) }) {
		t.Error("the table is not in the order of numbers")
	}
	for id, want := range map[Suite]struct {
		name     string
		exchange Exchange
		bits     int
		broken   bool
		ssl3     bool
	}{
		0x0003: {"TLS_RSA_EXPORT_WITH_RC4_40_MD5", RSA, 40, true, true},
		0x0011: {"TLS_DHE_DSS_EXPORT_WITH_DES40_CBC_SHA", DHE, 40, true, true},
		0x0016: {"TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA", DHE, 112, false, true},
		0x0015: {"TLS_DHE_RSA_WITH_DES_CBC_SHA", DHE, 56, true, true},
		0x0034: {"TLS_DH_anon_WITH_AES_128_CBC_SHA", Anonymous, 128, true, true},
		0xc017: {"TLS_ECDH_anon_WITH_3DES_EDE_CBC_SHA", Anonymous, 112, true, false},
		0x0031: {"TLS_DH_RSA_WITH_AES_128_CBC_SHA", Fixed, 128, false, true},
		0x009f: {"TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", DHE, 256, false, false},
		0x0002: {"TLS_RSA_WITH_NULL_SHA", RSA, 0, true, true},
		0xfefe: {"0xfefe", Unknown, 0, false, false},
	} {
		if id.String() != want.name || id.Exchange() != want.exchange || id.Bits() != want.bits || id.Broken() != want.broken || id.ForSSL3() != want.ssl3 {
			t.Errorf("%s: %s, %d bits, broken %v, SSL 3.0 %v", id, id.Exchange(), id.Bits(), id.Broken(), id.ForSSL3())
		}
	}
}

func TestSuitesStandInTheOrderOfPreference(t *testing.T) {
	all := everySuite()
	if len(all) != len(table) || all[len(all)-1].Broken() == false || all[0].Broken() {
		t.Errorf("%d suites, from %s to %s", len(all), all[0], all[len(all)-1])
	}
	dhe, first := slices.IndexFunc(all, func(s Suite) bool { return s.Exchange() == DHE }), slices.IndexFunc(all, Suite.Broken)
	if spoken := slices.Index(all, 0xc02f); spoken > dhe || dhe > first {
		t.Errorf("ECDHE is %d., DHE %d., broken %d.", spoken, dhe, first)
	}
}

// TestCryptoTLSUnderstandsTheHelloAndIsUnderstood plays a whole first flight with a server that is not ours.
func TestCryptoTLSUnderstandsTheHelloAndIsUnderstood(t *testing.T) {
	ca := pki.New(time.Now(), "Probe CA")
	chain := ca.Issue(pki.Options{Names: []string{"mx.test"}, Key: pki.RSA2048}).TLS
	for version, want := range map[uint16]string{TLS12: "TLSv1.2", TLS11: "TLSv1.1", TLS10: "TLSv1"} {
		var asked *tls.ClientHelloInfo
		a, err := answerOf(t, &Hello{Version: version, Suites: everySuite(), Name: "mx.test"}, &tls.Config{MinVersion: tls.VersionTLS10, ClientAuth: tls.RequestClientCert,
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				asked = h
				return &chain, nil
			}})
		if err != nil || !a.Done || VersionName(a.Version) != want || a.Suite.Exchange() != ECDHE || CurveName(a.Curve) != "X25519" || !a.ClientCertificate {
			t.Errorf("%s: %+v, %v", want, a, err)
		}
		if len(a.Chain) != 2 || !bytes.Equal(a.Chain[0], chain.Certificate[0]) {
			t.Errorf("%s: a chain of %d", want, len(a.Chain))
		}
		if asked == nil || asked.ServerName != "mx.test" || len(asked.CipherSuites) != len(table)+1 {
			t.Errorf("%s: the server read %+v", want, asked)
		}
	}
	a, err := answerOf(t, &Hello{Version: SSL30, Suites: everySuite()}, &tls.Config{Certificates: []tls.Certificate{chain}})
	if err != nil || a.Chosen || !a.Alerted || a.Alert != 70 {
		t.Errorf("SSL 3.0: %+v, %v", a, err)
	}
	a, err = answerOf(t, &Hello{Version: TLS12, Suites: []Suite{0x009e}}, &tls.Config{Certificates: []tls.Certificate{chain}})
	if err != nil || a.Chosen || a.Alert != 40 {
		t.Errorf("finite fields: %+v, %v", a, err)
	}
}

func answerOf(t *testing.T, h *Hello, c *tls.Config) (*Answer, error) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Server(far, c).Handshake() // it never completes
		far.Close()
	}()
	_ = near.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := near.Write(h.Record()); err != nil {
		t.Fatal(err)
	}
	a, err := Read(near)
	near.Close()
	<-done
	return a, err
}

func TestReadTakesWhatCameAndSaysWhyItEnded(t *testing.T) {
	dhe := append([]byte{0, 128}, bytes.Repeat([]byte{0xff}, 128)...)
	for name, c := range map[string]struct {
		in   []byte
		err  error
		want func(*Answer) bool
	}{
		"nothing":             {nil, io.EOF, func(a *Answer) bool { return !a.Chosen }},
		"text":                {[]byte("500 5.5.1 this is not TLS\r\nmore"), ErrNotTLS, func(a *Answer) bool { return string(a.Text) == "500 5.5.1 this is not TLS\r\n" }},
		"little text":         {[]byte("hm"), ErrNotTLS, func(a *Answer) bool { return string(a.Text) == "hm" }},
		"octets":              {[]byte{1, 2, 3, 4, 5, 6}, ErrNotTLS, func(a *Answer) bool { return a.Text == nil }},
		"endless text":        {bytes.Repeat([]byte("a"), 10000), ErrNotTLS, func(a *Answer) bool { return len(a.Text) == maxText }},
		"an alert":            {frame(recordAlert, []byte{2, 71}), nil, func(a *Answer) bool { return a.Alerted && a.Alert == 71 }},
		"a warning first":     {append(frame(recordAlert, []byte{1, 112}), serverHello(0x9e)...), io.EOF, func(a *Answer) bool { return a.Chosen && !a.Alerted }},
		"endless warnings":    {bytes.Repeat(frame(recordAlert, []byte{1, 112}), 1000), ErrTooLong, func(a *Answer) bool { return !a.Alerted }},
		"goodbye":             {frame(recordAlert, []byte{1, 0}), nil, func(a *Answer) bool { return a.Alerted && a.Alert == 0 }},
		"half an alert":       {frame(recordAlert, []byte{2}), ErrBroken, func(a *Answer) bool { return !a.Alerted }},
		"a hello":             {serverHello(0x9e), io.EOF, func(a *Answer) bool { return a.Chosen && a.Suite == 0x9e && a.Version == TLS12 }},
		"two hellos":          {append(serverHello(0x9e), serverHello(0x9e)...), ErrBroken, func(a *Answer) bool { return a.Chosen }},
		"half a hello":        {record(messageServerHello, 3, 3, 0), ErrBroken, func(a *Answer) bool { return !a.Chosen }},
		"no hello":            {record(messageServerHelloDone), ErrBroken, func(a *Answer) bool { return !a.Done }},
		"the end":             {append(serverHello(0x2f), record(messageServerHelloDone)...), nil, func(a *Answer) bool { return a.Done }},
		"a prime":             {append(serverHello(0x9e), record(messageServerKeyExchange, dhe...)...), io.EOF, func(a *Answer) bool { return a.PrimeBits == 1024 }},
		"half a prime":        {append(serverHello(0x9e), record(messageServerKeyExchange, dhe[:20]...)...), io.EOF, func(a *Answer) bool { return a.PrimeBits == 0 }},
		"an explicit curve":   {append(serverHello(0xc02f), record(messageServerKeyExchange, 1, 0, 23)...), io.EOF, func(a *Answer) bool { return a.Curve == 0 }},
		"an anonymous curve":  {append(serverHello(0xc018), record(messageServerKeyExchange, 3, 0, 23)...), io.EOF, func(a *Answer) bool { return a.Curve == 23 }},
		"an empty list":       {append(serverHello(0x9e), record(messageCertificate, 0, 0, 0)...), io.EOF, func(a *Answer) bool { return len(a.Chain) == 0 }},
		"an empty one":        {append(serverHello(0x9e), record(messageCertificate, 0, 0, 3, 0, 0, 0)...), ErrBroken, func(a *Answer) bool { return len(a.Chain) == 0 }},
		"a list that lies":    {append(serverHello(0x9e), record(messageCertificate, 0, 0, 9, 0, 0, 1, 7)...), ErrBroken, func(a *Answer) bool { return len(a.Chain) == 0 }},
		"too many":            {append(serverHello(0x9e), record(messageCertificate, append([]byte{0, 0, 33 * 4}, bytes.Repeat([]byte{0, 0, 1, 7}, 33)...)...)...), ErrTooLong, func(a *Answer) bool { return len(a.Chain) == maxCertificates }},
		"a message too long":  {append(serverHello(0x9e), frame(recordHandshake, []byte{messageCertificate, 0xff, 0xff, 0xff})...), ErrTooLong, func(a *Answer) bool { return len(a.Chain) == 0 }},
		"an endless answer":   {append(serverHello(0x9e), bytes.Repeat(record(22, make([]byte, 16000)...), 20)...), ErrTooLong, func(a *Answer) bool { return a.Chosen }},
		"encrypted too early": {append(serverHello(0x9e), frame(23, []byte{1})...), ErrBroken, func(a *Answer) bool { return a.Chosen }},
		"an empty record":     {append(serverHello(0x9e), frame(recordHandshake, nil)...), ErrBroken, func(a *Answer) bool { return a.Chosen }},
	} {
		for way, r := range map[string]io.Reader{"at once": bytes.NewReader(c.in), "by octets": iotest.OneByteReader(bytes.NewReader(c.in))} {
			a, err := Read(r)
			if !errors.Is(err, c.err) || err == nil && c.err != nil || !c.want(a) {
				t.Errorf("%s, %s: %v, want %v; %+v", name, way, err, c.err, a)
			}
		}
	}
}

func TestAMessageMaySpanRecords(t *testing.T) {
	whole := append(serverHello(0x9e)[5:], 14, 0, 0, 0)
	var in []byte
	for part := range slices.Chunk(whole, 7) {
		in = append(in, frame(recordHandshake, part)...)
	}
	if a, err := Read(bytes.NewReader(in)); err != nil || !a.Done || a.Suite != 0x9e {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestUnreadableTellsWhatCanBeReadAllTheSame(t *testing.T) {
	good := pki.New(time.Now(), "Glimpse CA").Issue(pki.Options{Names: []string{"mx.test"}}).TLS.Certificate
	if _, g, broken := Unreadable(good); broken {
		t.Fatalf("%+v", g)
	}
	bad := bytes.Clone(good[0])
	at := bytes.Index(bad, []byte{0xa0, 3, 2, 1, 2, 2})
	bad[at+7], bad[at+8] = 0, 0 // a serial number that is not in its shortest form
	i, g, broken := Unreadable([][]byte{good[1], bad})
	if !broken || i != 1 || g.Subject != "mx.test" || !strings.HasPrefix(g.Issuer, "Glimpse CA") || !strings.HasSuffix(g.NotAfter, "Z") || len(g.NotAfter) != 20 || !strings.Contains(g.Fault, "serial") {
		t.Errorf("%d %+v %v", i, g, broken)
	}
	for _, der := range [][]byte{nil, {0x30}, {0x30, 0x80}, bytes.Repeat([]byte{0x30, 0x82, 0xff, 0xff}, 100)} {
		if _, g, broken := Unreadable([][]byte{der}); !broken || g.Fault == "" || g.Subject != "" {
			t.Errorf("%x: %+v", der[:min(len(der), 8)], g)
		}
	}
}

// FuzzRead: whatever comes, reading ends, within its bounds, and nothing is claimed before a ServerHello.
func FuzzRead(f *testing.F) {
	chain := pki.New(time.Unix(1800000000, 0), "Fuzz CA").Issue(pki.Options{Names: []string{"mx.test"}}).TLS.Certificate
	body := []byte{0, byte((len(chain[0]) + 3) >> 8), byte(len(chain[0]) + 3), 0, byte(len(chain[0]) >> 8), byte(len(chain[0]))}
	f.Add([]byte("500 what?\r\n"))
	f.Add(frame(recordAlert, []byte{2, 40}))
	f.Add(slices.Concat(serverHello(0x9e), record(messageCertificate, append(body, chain[0]...)...),
		record(messageServerKeyExchange, 0, 1, 0xff, 0, 1, 2), record(messageCertificateRequest, 0), record(messageServerHelloDone)))
	f.Add(slices.Concat(serverHello(0xc018), record(messageServerKeyExchange, 3, 0, 23), record(messageServerHelloDone)))
	f.Add(slices.Concat(frame(recordHandshake, serverHello(0x33)[5:20]), frame(recordHandshake, serverHello(0x33)[20:])))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		a, err := Read(r)
		if a == nil || err == nil && !a.Done && !a.Alerted {
			t.Fatalf("%+v, %v", a, err)
		}
		if read := len(in) - r.Len(); read > maxAnswer || len(a.Chain) > maxCertificates || len(a.Text) > maxText {
			t.Fatalf("%d octets read, %d certificates", read, len(a.Chain))
		}
		if !a.Chosen && (len(a.Chain) > 0 || a.PrimeBits > 0 || a.Curve > 0 || a.ClientCertificate || a.Done) {
			t.Fatalf("claimed without a ServerHello: %+v", a)
		}
		Unreadable(a.Chain)
		_ = a.Suite.String()
	})
}

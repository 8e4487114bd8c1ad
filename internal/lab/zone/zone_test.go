package zone

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"
)

const sample = `
; a comment
clinic.test       MX 10 mx1.clinic.test       ; after a record
Clinic.Test.   60 MX 20 mx2.clinic.test.
mx1.clinic.test   A 127.0.0.2
!plain.test       A 127.0.0.3
*.wild.test       A 127.0.0.4
own.wild.test     TXT "a;b"
alias.test        CNAME mx1.clinic.test
half.test         AAAA servfail
half.test         A 127.0.0.5
bogus.test        bogus
away.test         nxdomain
long.test         truncated
long.test         A 127.0.0.6
`

func query(t *testing.T, name string, qtype uint16) []byte {
	t.Helper()
	m := new(wire.Msg).SetQuestion(name, qtype)
	m.AuthenticatedData = true
	m.SetEdns0(1232, false)
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t *testing.T, text string) *Zone {
	t.Helper()
	z, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestZoneAnswersAsARecursiveServerWould(t *testing.T) {
	z := parse(t, sample)
	for _, c := range []struct {
		name    string
		qtype   uint16
		rcode   int
		answers int
		last    string
		secure  bool
	}{
		{"clinic.test.", wire.TypeMX, wire.RcodeSuccess, 2, "mx2.clinic.test.", true},
		{"CLINIC.test.", wire.TypeMX, wire.RcodeSuccess, 2, "mx2.clinic.test.", true},
		{"clinic.test.", wire.TypeA, wire.RcodeSuccess, 0, "", true},
		{"test.", wire.TypeA, wire.RcodeSuccess, 0, "", true},
		{"gone.test.", wire.TypeA, wire.RcodeNameError, 0, "", true},
		{"plain.test.", wire.TypeA, wire.RcodeSuccess, 1, "127.0.0.3", false},
		{"x.y.wild.test.", wire.TypeA, wire.RcodeSuccess, 1, "127.0.0.4", true},
		{"own.wild.test.", wire.TypeA, wire.RcodeSuccess, 0, "", true},
		{"own.wild.test.", wire.TypeTXT, wire.RcodeSuccess, 1, `"a;b"`, true},
		{"alias.test.", wire.TypeA, wire.RcodeSuccess, 2, "127.0.0.2", true},
		{"alias.test.", wire.TypeCNAME, wire.RcodeSuccess, 1, "mx1.clinic.test.", true},
		{"half.test.", wire.TypeA, wire.RcodeSuccess, 1, "127.0.0.5", true},
		{"half.test.", wire.TypeAAAA, wire.RcodeServerFailure, 0, "", false},
		{"bogus.test.", wire.TypeA, wire.RcodeServerFailure, 0, "", false},
		{"away.test.", wire.TypeA, wire.RcodeNameError, 0, "", true},
	} {
		var m wire.Msg
		if err := m.Unpack(z.Answer("udp", query(t, c.name, c.qtype))); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if m.Rcode != c.rcode || len(m.Answer) != c.answers || m.AuthenticatedData != c.secure {
			t.Errorf("%s %d: %v", c.name, c.qtype, &m)
		}
		if c.answers > 0 && !strings.HasSuffix(m.Answer[len(m.Answer)-1].String(), c.last) {
			t.Errorf("%s: last record %v, want %s", c.name, m.Answer[len(m.Answer)-1], c.last)
		}
	}
}

func TestTruncatedOnlyOverUDP(t *testing.T) {
	z := parse(t, sample)
	var udp, tcp wire.Msg
	if err := udp.Unpack(z.Answer("udp", query(t, "long.test.", wire.TypeA))); err != nil || !udp.Truncated || len(udp.Answer) != 0 {
		t.Errorf("udp: %v, %v", &udp, err)
	}
	if err := tcp.Unpack(z.Answer("tcp", query(t, "long.test.", wire.TypeA))); err != nil || tcp.Truncated || len(tcp.Answer) != 1 {
		t.Errorf("tcp: %v, %v", &tcp, err)
	}
}

func TestBadZonesAreRefusedWithTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"\n\nclinic.test MX nonsense":    "zone line 3",
		"clinic.test":                    "zone line 1",
		"clinic.test WHAT servfail":      `"WHAT" is no record type`,
		"clinic.test A 127.0.0.999":      "zone line 1",
		"a.test A 127.0.0.1\nb.test A x": "zone line 2",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func TestServerAnswersOnBothProtocolsUntilItIsClosed(t *testing.T) {
	s, err := Serve(sample)
	if err != nil {
		t.Fatal(err)
	}
	for _, network := range []string{"udp", "tcp"} {
		client := wire.Client{Net: network, Timeout: 2 * time.Second}
		m, _, err := client.Exchange(new(wire.Msg).SetQuestion("mx1.clinic.test.", wire.TypeA), s.Addr().String())
		if err != nil || len(m.Answer) != 1 {
			t.Errorf("%s: %v, %v", network, m, err)
		}
	}
	if err := s.Set("mx1.clinic.test A 127.0.0.99\n"); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("nonsense"); err == nil {
		t.Error("a bad zone was accepted")
	}
	client := wire.Client{Timeout: 2 * time.Second}
	m, _, err := client.Exchange(new(wire.Msg).SetQuestion("mx1.clinic.test.", wire.TypeA), s.Addr().String())
	if err != nil || !strings.HasSuffix(m.Answer[0].String(), "127.0.0.99") {
		t.Errorf("after Set: %v, %v", m, err)
	}
	if s.Asked() != 3 {
		t.Errorf("%d questions, want 3", s.Asked())
	}
	idle, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	idle.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := idle.Read(make([]byte, 1)); err != io.EOF && !strings.Contains(err.Error(), "reset") {
		t.Errorf("an idle stream after Close: %v", err)
	}
	if _, _, err := client.Exchange(new(wire.Msg).SetQuestion("mx1.clinic.test.", wire.TypeA), s.Addr().String()); err == nil {
		t.Error("it still answers")
	}
}

func TestOneStreamMayAskSeveralTimes(t *testing.T) {
	s, err := Serve(sample)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Second))
	for range 3 {
		q := query(t, "clinic.test.", wire.TypeMX)
		conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...))
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			t.Fatal(err)
		}
		reply := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, reply); err != nil {
			t.Fatal(err)
		}
		var m wire.Msg
		if err := m.Unpack(reply); err != nil || len(m.Answer) != 2 {
			t.Fatalf("%v, %v", &m, err)
		}
	}
}

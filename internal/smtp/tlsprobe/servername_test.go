package tlsprobe

import (
	"crypto/tls"
	"net"
	"testing"
)

func TestTheServerNameOfAHello(t *testing.T) {
	hello := func(name string) []byte {
		ours, theirs := net.Pipe()
		defer ours.Close()
		go func() {
			_ = tls.Client(theirs, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
			theirs.Close()
		}()
		b := make([]byte, 1<<14)
		n, err := ours.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return b[:n]
	}
	whole := hello("mx.clinic.test")
	if got := ServerName(whole); got != "mx.clinic.test" {
		t.Errorf("%q", got)
	}
	dotted := (&Hello{Version: TLS12, Name: "mx.clinic.test.", Suites: []Suite{0x2f}}).Record()
	if got := ServerName(dotted); got != "mx.clinic.test." {
		t.Errorf("%q", got)
	}
	if got := ServerName((&Hello{Version: TLS12, Suites: []Suite{0x2f}}).Record()); got != "" {
		t.Errorf("%q", got)
	}
	for n := range whole { // cut anywhere, and with any byte wrong, nothing breaks
		ServerName(whole[:n])
		whole[n] ^= 0xff
		ServerName(whole)
		whole[n] ^= 0xff
	}
}

package proxyheader_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"postern/internal/smtp/proxyheader"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// octets reads hexadecimal, in which spaces do not count.
func octets(text string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

// binaryHeader makes a header of version 2.
func binaryHeader(command, family byte, rest string) string {
	return signature + string([]byte{command, family}) + string(binary.BigEndian.AppendUint16(nil, uint16(len(rest)))) + rest
}

const (
	four    = "\xc6\x33\x64\x07\xc0\x00\x02\x01\xa6\x52\x00\x19" // 198.51.100.7:42578, 192.0.2.1:25
	six     = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xa6\x52\x00\x19"
	mapped6 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc6\x33\x64\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01\xa6\x52\x00\x19"
)

// vpce are what a network load balancer of AWS sends for a client that comes by an endpoint of a VPC: a checksum, the
// endpoint's name (type 0xEA) and padding. Two that were published, the second of them as it was captured.
func vpce() []string {
	pad := strings.Repeat("00", 36)
	return []string{
		octets("0d0a0d0a000d0a515549540a 21110054 ac1f0771 ac1f0a1f c8f20050 030004e8d6892d ea001701" + hex.EncodeToString([]byte("vpce-08d2bf15fac5001c9")) + "040024" + pad),
		octets("0d0a0d0a000d0a515549540a 21110054 c0a82c0a c0a82c07 cc3e241b 030004b9286fa6 ea001701" + hex.EncodeToString([]byte("vpce-00eafc458ec97b833")) + "040024" + pad),
	}
}

// nlbCheck is how the same one checks: LOCAL, a family, and no addresses of it.
func nlbCheck() string {
	return octets("0d0a0d0a000d0a515549540a 20110054 030004bce5951f 04004a" + strings.Repeat("00", 74))
}

// haproxyTLS is what HAProxy adds with send-proxy-v2-ssl-cn.
func haproxyTLS() string {
	return octets("0d0a0d0a000d0a515549540a 21110040 7f000001 7f000001 cc8a232e 200031 07 00000000 210007") + "TLSv1.3" +
		octets("22001f") + "Example Common Name Client Cert"
}

func TestHeadersOfTheField(t *testing.T) {
	ffff := "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
	for name, c := range map[string]struct {
		in, client, server string // no client: local
		version            int
	}{
		"the longest line for IPv4":                     {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535", "255.255.255.255:65535", 1},
		"the longest line for IPv6":                     {"PROXY TCP6 " + ffff + " " + ffff + " 65535 65535\r\n", "[" + ffff + "]:65535", "[" + ffff + "]:65535", 1},
		"the longest line of all":                       {"PROXY UNKNOWN " + ffff + " " + ffff + " 65535 65535\r\n", "", "", 1},
		"HAProxy's line for its own check":              {"PROXY UNKNOWN\r\n", "", "", 1},
		"a check of Google's balancer":                  {"PROXY UNKNOWN\r\n", "", "", 1},
		"UNKNOWN with anything after it":                {"PROXY UNKNOWN \x00\xff whatever\r\n", "", "", 1},
		"the text's own example":                        {"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324", "192.168.0.11:443", 1},
		"nginx, client and server of two families":      {"PROXY TCP6 2001:db8::1 192.0.2.1 51512 22\r\n", "[2001:db8::1]:51512", "192.0.2.1:22", 1},
		"capitals in IPv6":                              {"PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::1 1 2\r\n", "[2001:db8::1]:1", "[::1]:2", 1},
		"IPv4 in IPv6 clothes":                          {"PROXY TCP6 ::ffff:198.51.100.7 ::ffff:192.0.2.1 42578 25\r\n", "198.51.100.7:42578", "192.0.2.1:25", 1},
		"IPv4 in IPv6 clothes, in hexadecimal":          {"PROXY TCP6 ::ffff:c633:6407 ::1 42578 25\r\n", "198.51.100.7:42578", "[::1]:25", 1},
		"port 0":                                        {"PROXY TCP4 192.0.2.1 192.0.2.2 0 0\r\n", "192.0.2.1:0", "192.0.2.2:0", 1},
		"HAProxy, as it was captured":                   {octets("0d0a0d0a000d0a515549540a 2111000c ac130001 ac130003 a6520050"), "172.19.0.1:42578", "172.19.0.3:80", 2},
		"HAProxy with what it knows of TLS":             {haproxyTLS(), "127.0.0.1:52362", "127.0.0.1:9006", 2},
		"an endpoint of AWS, published":                 {vpce()[0], "172.31.7.113:51442", "172.31.10.31:80", 2},
		"an endpoint of AWS, captured":                  {vpce()[1], "192.168.44.10:52286", "192.168.44.7:9243", 2},
		"a check of AWS: LOCAL, IPv4 and no address":    {nlbCheck(), "", "", 2},
		"LOCAL of length 0":                             {binaryHeader(0x20, 0x00, ""), "", "", 2},
		"LOCAL with addresses and values":               {binaryHeader(0x20, 0x11, four+"\x05\x00\x01x"), "", "", 2},
		"LOCAL with rubbish":                            {binaryHeader(0x20, 0xff, "\x03\x00"), "", "", 2},
		"a client of no family":                         {binaryHeader(0x21, 0x00, ""), "", "", 2},
		"a client of no family, addresses all the same": {binaryHeader(0x21, 0x00, four), "", "", 2},
		"IPv4":                            {binaryHeader(0x21, 0x11, four), "198.51.100.7:42578", "192.0.2.1:25", 2},
		"IPv6":                            {binaryHeader(0x21, 0x21, six), "[2001:db8::7]:42578", "[2001:db8::1]:25", 2},
		"IPv4 in IPv6 clothes, in octets": {binaryHeader(0x21, 0x21, mapped6), "198.51.100.7:42578", "192.0.2.1:25", 2},
		"an empty value":                  {binaryHeader(0x21, 0x11, four+"\x04\x00\x00"), "198.51.100.7:42578", "192.0.2.1:25", 2},
		"values nobody knows":             {binaryHeader(0x21, 0x11, four+"\xe5\x00\x02ab\xee\x00\x01c"), "198.51.100.7:42578", "192.0.2.1:25", 2},
		"the longest":                     {binaryHeader(0x21, 0x11, four+"\x04\x0f\xe1"+strings.Repeat("\x00", 4065)), "198.51.100.7:42578", "192.0.2.1:25", 2},
	} {
		for _, after := range []string{"", "EHLO client.example\r\n", "\x16\x03\x01", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"} {
			h, n, err := proxyheader.Parse([]byte(c.in + after))
			if err != nil || n != len(c.in) || h.Version != c.version {
				t.Errorf("%s: %+v, %d octets of %d, %v", name, h, n, len(c.in), err)
				continue
			}
			want := proxyheader.Header{Version: c.version, Local: c.client == ""}
			if !want.Local {
				want.Client, want.Server = netip.MustParseAddrPort(c.client), netip.MustParseAddrPort(c.server)
			}
			if h != want {
				t.Errorf("%s: %+v, want %+v", name, h, want)
			}
		}
		for i := range len(c.in) {
			if h, n, err := proxyheader.Parse([]byte(c.in[:i])); n != 0 || err != nil || h != (proxyheader.Header{}) {
				t.Errorf("%s, the first %d octets: %+v %d %v, want nothing yet", name, i, h, n, err)
				break
			}
		}
	}
}

func TestWhatIsNoHeaderOrABadOne(t *testing.T) {
	wrongSum := []byte(vpce()[1])
	wrongSum[19]++
	for name, c := range map[string]struct{ in, says string }{
		"a client of SMTP":                  {"EHLO client.example\r\n", "no PROXY header"},
		"a client of TLS":                   {"\x16\x03\x01\x02\x00", "no PROXY header"},
		"a client of HTTP":                  {"GET / HTTP/1.1\r\n", "no PROXY header"},
		"a CONNECT":                         {"CONNECT x:25 HTTP/1.1\r\n", "no PROXY header"},
		"empty lines":                       {"\r\n\r\nEHLO", "no PROXY header"},
		"lower case":                        {"proxy tcp4 192.0.2.1 192.0.2.2 1 2\r\n", "no PROXY header"},
		"a tab":                             {"PROXY\tTCP4 192.0.2.1 192.0.2.2 1 2\r\n", "no PROXY header"},
		"a signature with a zero elsewhere": {"\r\n\r\n\r\n\x00QUIT\n", "no PROXY header"},
		"UDP4":                              {"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", `for "UDP4"`},
		"tcp4":                              {"PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n", `for "tcp4"`},
		"nothing":                           {"PROXY \r\n", `for ""`},
		"two spaces":                        {"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", `for ""`},
		"two spaces further on":             {"PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n", "with one space between"},
		"a space at the end":                {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", "with one space between"},
		"one port":                          {"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "with one space between"},
		"IPv6 under TCP4":                   {"PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n", `address "2001:db8::1"`},
		"IPv4 in IPv6 clothes under TCP4":   {"PROXY TCP4 ::ffff:192.0.2.1 192.0.2.2 1 2\r\n", "address"},
		"a zone":                            {"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", `address "fe80::1%eth0"`},
		"a name":                            {"PROXY TCP4 localhost 192.0.2.2 1 2\r\n", `address "localhost"`},
		"brackets":                          {"PROXY TCP6 [2001:db8::1] ::1 1 2\r\n", "address"},
		"a zero before a number":            {"PROXY TCP4 192.0.2.010 192.0.2.2 1 2\r\n", "address"},
		"an address with three numbers":     {"PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n", "address"},
		"a zero before a port":              {"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", `port "01"`},
		"zeros as a port":                   {"PROXY TCP4 192.0.2.1 192.0.2.2 00 2\r\n", `port "00"`},
		"a sign":                            {"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", `port "+1"`},
		"a port too large":                  {"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", `port "65536"`},
		"an empty port":                     {"PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n", "port"},
		"a hexadecimal port":                {"PROXY TCP4 192.0.2.1 192.0.2.2 0x19 2\r\n", "port"},
		"no address at all":                 {"PROXY TCP4 0.0.0.0 192.0.2.2 1 2\r\n", "names no client"},
		"no address of IPv6":                {"PROXY TCP6 :: ::1 1 2\r\n", "names no client"},
		"no address in IPv6 clothes":        {"PROXY TCP6 ::ffff:0.0.0.0 ::1 1 2\r\n", "names no client"},
		"LF alone":                          {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "without CR"},
		"LF at once":                        {"PROXY \n", "without CR"},
		"CR in the middle":                  {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r \r\n", "with one space between"},
		"an octet too long":                 {"PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", "within 107 octets"},
		"without an end":                    {"PROXY " + strings.Repeat("A", 500), "within 107 octets"},
		"a terminal's escapes":              {"PROXY TCP4 \x1b[2J 192.0.2.2 1 2\r\n", `"\x1b[2J"`},
		"version 1 in octets":               {signature + "\x11\x11\x00\x0c" + four, "version 1"},
		"version 3":                         {signature + "\x31\x11\x00\x0c" + four, "version 3"},
		"another command":                   {signature + "\x22\x11\x00\x0c" + four, "command 2"},
		"a UNIX socket":                     {binaryHeader(0x21, 0x31, strings.Repeat("a", 216)), "UNIX socket"},
		"another family":                    {binaryHeader(0x21, 0x41, four), "family 4"},
		"datagrams":                         {binaryHeader(0x21, 0x12, four), "transport 2"},
		"no transport":                      {binaryHeader(0x21, 0x10, four), "transport 0"},
		"length 0":                          {binaryHeader(0x21, 0x11, ""), "too few"},
		"an octet too few":                  {binaryHeader(0x21, 0x11, four[:11]), "too few"},
		"addresses of IPv4 as IPv6":         {binaryHeader(0x21, 0x21, four), "too few"},
		"an octet too many":                 {binaryHeader(0x21, 0x11, four+"x"), "cut off"},
		"a value longer than the header":    {binaryHeader(0x21, 0x11, four+"\x05\x00\x09x"), "longer than the header"},
		"a checksum too short":              {binaryHeader(0x21, 0x11, four+"\x03\x00\x02ab"), "checksum"},
		"an empty checksum":                 {binaryHeader(0x21, 0x11, four+"\x03\x00\x00"), "checksum"},
		"a wrong checksum":                  {binaryHeader(0x21, 0x11, four+"\x03\x00\x04abcd"), "checksum"},
		"a damaged address":                 {string(wrongSum), "checksum"},
		"0.0.0.0 in octets":                 {binaryHeader(0x21, 0x11, strings.Repeat("\x00", 12)), "names no client"},
		"longer than anybody needs":         {signature + "\x21\x11\xff\xff" + four, "4096 is the most"},
		"an octet longer than the longest":  {signature + "\x20\x00\x0f\xf1", "4096 is the most"},
	} {
		h, n, err := proxyheader.Parse([]byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.says) || n != 0 || h != (proxyheader.Header{}) {
			t.Errorf("%s: %+v, %d, %v, want an error with %q", name, h, n, err, c.says)
		} else if errors.Is(err, proxyheader.ErrNone) != (c.says == "no PROXY header") || strings.ContainsAny(err.Error(), "\x1b\r\n") {
			t.Errorf("%s: %q", name, err)
		}
	}
}

// FuzzParse holds the law over anything: a header is bounded, all that is before its end asks for more, what follows it
// changes nothing, and what is refused stays refused.
func FuzzParse(f *testing.F) {
	for _, s := range append(vpce(), nlbCheck(), haproxyTLS(), "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nEHLO x\r\n", "PROXY UNKNOWN\r\n", "PROXY TCP6 2001:db8::1 192.0.2.1 51512 22\r\n",
		"EHLO x\r\n", binaryHeader(0x21, 0x21, mapped6), binaryHeader(0x21, 0x31, strings.Repeat("a", 216)), binaryHeader(0x20, 0, "")) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := proxyheader.Parse(b)
		more, m, err2 := proxyheader.Parse(append(append([]byte{}, b...), "EHLO\r\n"...))
		switch {
		case err != nil:
			if n != 0 || err2 == nil {
				t.Fatalf("%q: refused with %d octets, and then %v", b, n, err2)
			}
		case n == 0:
			if len(b) >= proxyheader.Max {
				t.Fatalf("%d octets, and still more is wanted", len(b))
			}
		default:
			if n > len(b) || n > proxyheader.Max || h != more || n != m || err2 != nil {
				t.Fatalf("%q: %+v %d, with more after it %+v %d %v", b, h, n, more, m, err2)
			}
			if h.Local == h.Client.IsValid() || h.Client.Addr().Is4In6() || h.Client.Addr().Zone() != "" || h.Version != 1 && h.Version != 2 {
				t.Fatalf("%q: %+v", b, h)
			}
			for i := range n {
				if _, k, err := proxyheader.Parse(b[:i]); k != 0 || err != nil {
					t.Fatalf("%q: the first %d octets are %d, %v", b, i, k, err)
				}
			}
		}
	})
}

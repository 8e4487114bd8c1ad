package sockets

import (
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"postern/cmd/postern/internal/cli"
	"postern/internal/config"
)

func TestSocketsGoToTheListenerOfTheirAddress(t *testing.T) {
	for name, c := range map[string]struct {
		listeners []string // "name address"
		admin     string
		offered   []string // "address" or "address name"
		want      []int
	}{
		"one":                                 {[]string{"world :25"}, "", []string{"[::]:25"}, []int{0}},
		"one a family":                        {[]string{"world :25"}, "", []string{"0.0.0.0:25", "[::]:25"}, []int{0, 0}},
		"one a family, two ports":             {[]string{"world :25", "sub :587"}, "", []string{"[::]:587", "0.0.0.0:25", "0.0.0.0:587", "[::]:25"}, []int{1, 0, 1, 0}},
		"another port":                        {[]string{"world :25"}, "", []string{"[::]:26"}, []int{-1}},
		"a family each":                       {[]string{"four 0.0.0.0:25", "six [::]:25"}, "", []string{"[::]:25", "0.0.0.0:25"}, []int{1, 0}},
		"a family each, one is left":          {[]string{"six [::]:25"}, "", []string{"0.0.0.0:25"}, []int{-1}},
		"addresses":                           {[]string{"a 192.0.2.1:25", "b 192.0.2.2:25"}, "", []string{"192.0.2.2:25", "192.0.2.1:25"}, []int{1, 0}},
		"an address nobody names":             {[]string{"a 192.0.2.1:25"}, "", []string{"192.0.2.2:25"}, []int{-1}},
		"the wildcard for one address":        {[]string{"a 192.0.2.1:25"}, "", []string{"0.0.0.0:25", "[::]:25"}, []int{-1, -1}},
		"one address for every address":       {[]string{"world :25"}, "", []string{"192.0.2.1:25", "[2001:db8::1]:25"}, []int{0, 0}},
		"an address that another names":       {[]string{"world :25", "inside 10.0.0.1:25"}, "", []string{"10.0.0.1:25", "[::]:25"}, []int{1, 0}},
		"an address that another names first": {[]string{"inside 10.0.0.1:25", "world :25"}, "", []string{"[::]:25", "10.0.0.1:25"}, []int{1, 0}},
		"the admin port's address":            {[]string{"world :8025"}, "127.0.0.1:8025", []string{"127.0.0.1:8025", "[::]:8025"}, []int{-1, 0}},
		"IPv4 in IPv6 clothes":                {[]string{"a 192.0.2.1:25"}, "", []string{"[::ffff:192.0.2.1]:25"}, []int{0}},
		"named as its listener":               {[]string{"world :25"}, "", []string{"[::]:25 world"}, []int{0}},
		"named as the unit":                   {[]string{"world :25"}, "", []string{"[::]:25 postern.socket"}, []int{0}},
		"named as another listener":           {[]string{"world :25", "sub :587"}, "", []string{"[::]:25 sub", "[::]:587 sub"}, []int{-1, 1}},
		"two of every address, named":         {[]string{"a :25", "b :25"}, "", []string{"0.0.0.0:25 b", "192.0.2.1:25 a"}, []int{1, 0}},
	} {
		cfg := &config.Config{Admin: config.Admin{Listen: c.admin}}
		for _, text := range c.listeners {
			name, address := halves(text)
			cfg.Listen = append(cfg.Listen, config.Listen{Name: name, Address: address})
		}
		var offered []offer
		for _, text := range c.offered {
			address, name := halves(text)
			offered = append(offered, offer{plain(netip.MustParseAddrPort(address)), name})
		}
		if got := assign(places(cfg), offered); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func halves(text string) (before, after string) {
	before, after, _ = strings.Cut(text, " ")
	return before, after
}

// What systemd keeps open cannot be opened here: the error names that socket and what the unit should say.
func TestASocketOfSystemdInTheWayIsNamed(t *testing.T) {
	set := &Set{held: []offer{{plain(netip.MustParseAddrPort("0.0.0.0:2607")), "postern.socket"}, {plain(netip.MustParseAddrPort("127.0.0.1:8025")), "postern.socket"}}}
	inUse := &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	for _, c := range []struct {
		address string
		err     error
		want    string // in the text and the hint, "|" between them; "" for another program
	}{
		{"127.0.0.1:2607", inUse, "systemd holds a socket at 0.0.0.0:2607 (postern.socket)|ListenStream=127.0.0.1:2607"},
		{":2607", inUse, "0.0.0.0:2607|ListenStream=2607"},
		{"127.0.0.1:2608", inUse, ""},
		{"127.0.0.2:8025", inUse, ""},
		{"127.0.0.1:2607", fs.ErrPermission, ""},
	} {
		err := set.blocked(c.address, c.err, unitHint(c.address))
		if (err == nil) != (c.want == "") {
			t.Errorf("%s: %v", c.address, err)
		}
		if err == nil {
			continue
		}
		for part := range strings.SplitSeq(c.want, "|") {
			if !strings.Contains(err.Error()+" "+cli.HintOf(err), part) {
				t.Errorf("%s: %v, %s", c.address, err, cli.HintOf(err))
			}
		}
	}
	if err := set.BlockedAdmin("127.0.0.1:8025", inUse); err == nil || !strings.Contains(cli.HintOf(err), "ListenStream=") {
		t.Errorf("of [admin]: %v", err)
	}
	if err := (*Set)(nil).BlockedAdmin("127.0.0.1:8025", inUse); err != nil {
		t.Errorf("without sockets: %v", err)
	}
}

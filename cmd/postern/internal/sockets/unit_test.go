package sockets

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/config"
)

// What systemd would open is held against what the configuration names, by the unit with its drop-ins.
func TestSocketUnitsAreHeldAgainstTheListeners(t *testing.T) {
	const people = "[[listen]]\n[[listen]]\nmode = \"submission\"\n[tls]\ncertificates = [{cert = \"c.pem\", key = \"k.pem\"}]\n[[user]]\nname = \"a\"\npassword_hash = \"" +
		"$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"\n"
	for _, c := range []struct {
		name, config string
		files        map[string]string
		want         string // of the findings, "|" between them
	}{
		{"no unit", people, nil, ""},
		{"not enabled", people, map[string]string{"lib/postern.socket": "[Socket]\nListenStream=2525\n"}, ""},
		{"all of it", people, map[string]string{"etc/sockets.target.wants/postern.socket": "", "lib/postern.socket": "[Socket]\nListenStream=25\nListenStream=587\n"}, ""},
		{"the package's alone", people, map[string]string{"etc/sockets.target.wants/postern.socket": "", "lib/postern.socket": "# x\n[Socket]\nListenStream=25\nBindIPv6Only=both\n"},
			"listen[1].address: postern.socket does not open :587"},
		{"a drop-in adds", people, map[string]string{"etc/sockets.target.wants/postern.socket": "", "lib/postern.socket": "[Socket]\nListenStream=25\n",
			"etc/postern.socket.d/more.conf": "[Socket]\nListenStream = 0.0.0.0:587\n"}, ""},
		{"a drop-in begins anew", people, map[string]string{"etc/sockets.target.wants/postern.socket": "", "lib/postern.socket": "[Socket]\nListenStream=25\n",
			"etc/postern.socket.d/a.conf": "[Socket]\nListenStream=\nListenStream=587\nListenStream=465\nListenStream=/run/x\n"},
			"listen: postern.socket opens [::]:465, which no listener names|listen[0].address: postern.socket does not open :25"},
		{"the administrator's unit counts", people, map[string]string{"etc/sockets.target.wants/postern.socket": "", "lib/postern.socket": "[Socket]\nListenStream=99\n",
			"etc/postern.socket": "[Socket]\nListenStream=25\nListenStream=587\n"}, ""},
		{"a port of the console", "", map[string]string{"etc/sockets.target.wants/postern.socket": "", "lib/postern.socket": "[Socket]\nListenStream=25\nListenStream=127.0.0.1:8025\n"},
			"admin.listen: postern.socket opens 127.0.0.1:8025, which no listener names, and so the gateway cannot open 127.0.0.1:8025"},
		{"every address for one", "[admin]\nlisten = \"\"\n[[listen]]\naddress = \"127.0.0.1:2525\"\n", map[string]string{"etc/sockets.target.wants/postern.socket": "",
			"lib/postern.socket": "[Socket]\nListenStream=2525\n"}, "listen[0].address: postern.socket opens [::]:2525, which no listener names, and so the gateway cannot open 127.0.0.1:2525"},
		{"one for another", "[admin]\nlisten = \"\"\n[[listen]]\naddress = \"127.0.0.1:2525\"\n", map[string]string{"etc/sockets.target.wants/postern.socket": "",
			"lib/postern.socket": "[Socket]\nListenStream=127.0.0.2:2525\n"}, "listen: postern.socket opens 127.0.0.2:2525, which no listener names: it is closed"},
	} {
		dir := t.TempDir()
		for name, text := range c.files {
			name = filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		cfg := parsed(t, "hostname = \"gw.test\"\n"+c.config)
		unit := ReadUnit([]string{filepath.Join(dir, "etc"), filepath.Join(dir, "lib")})
		var got []string
		for _, f := range unit.Findings(cfg) {
			if f.Hint == "" || f.Fatal != strings.Contains(f.What, "cannot open") {
				t.Errorf("%s: %+v", c.name, f)
			}
			got = append(got, f.Key+": "+f.What)
		}
		want := strings.Split(c.want, "|")
		if c.want == "" {
			want = nil
		}
		if len(got) != len(want) {
			t.Errorf("%s: %q", c.name, got)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(got[i], want[i]) {
				t.Errorf("%s: %q, want %q", c.name, got[i], want[i])
			}
		}
	}
}

func parsed(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("postern.toml", t.TempDir(), "gw.test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Of what systemd does not open for both, two places that meet can be opened only once.
func TestListenersThatOverlapAreFound(t *testing.T) {
	listen := func(addresses ...string) (text string) {
		for i, a := range addresses {
			text += fmt.Sprintf("[[listen]]\nname = \"n%d\"\naddress = %q\n", i, a)
		}
		return text
	}
	for _, c := range []struct {
		text   string
		handed map[int]bool
		want   string
	}{
		{listen(":25", "127.0.0.1:25"), nil, "listen[1].address"},
		{listen("127.0.0.1:25", ":25"), nil, "listen[1].address"},
		{listen("0.0.0.0:25", "[::]:25"), nil, "listen[1].address"},
		{listen("0.0.0.0:25", "[::1]:25"), nil, "listen[1].address"},
		{listen("localhost:2525", "127.0.0.1:2525"), nil, "listen[1].address"},
		{listen("127.0.0.1:025", "127.0.0.1:25"), nil, "listen[1].address"},
		{listen("[::ffff:127.0.0.1]:25", "127.0.0.1:25"), nil, "listen[1].address"},
		{listen(":25", "127.0.0.1:25"), map[int]bool{0: true, 1: true}, ""},
		{listen(":25", "127.0.0.1:25"), map[int]bool{0: true}, "listen[1].address"},
		{listen(":25", "127.0.0.1:26", "[::1]:27"), nil, ""},
		{listen("127.0.0.1:25", "127.0.0.2:25", "[::1]:25"), nil, ""},
		{listen(":0", "127.0.0.1:0"), nil, ""},
		{listen(":8025"), nil, "admin.listen"},
		{listen("127.0.0.2:8025"), nil, ""},
	} {
		var got []string
		for _, f := range Overlaps(parsed(t, c.text), c.handed) {
			got = append(got, f.Key)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
}

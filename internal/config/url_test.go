package config

import (
	"strings"
	"testing"
)

// The console's address is one that a browser can open, without anything behind the host.
func TestTheConsolesAddress(t *testing.T) {
	for url, good := range map[string]bool{
		"": true, "https://gw.example.com": true, "https://gw.example.com:8025/": true, "http://localhost:8025": true,
		"gw.example.com": false, "ftp://gw.example.com": false, "https://": false, "https://gw.example.com/console": false, "https://a@gw.example.com": false,
		"https://gw.example.com?x": false, "https://gw.example.com#x": false,
	} {
		_, err := Parse("postern.toml", t.TempDir(), "gw.example.com", []byte("hostname = \"gw.example.com\"\n[admin]\nurl = \""+url+"\"\n"))
		if told := err != nil && strings.Contains(err.Error(), "admin.url"); told == good {
			t.Errorf("%q: %v", url, err)
		}
	}
}

package publicaddr_test

import (
	"net/netip"
	"testing"

	"postern/internal/platform/publicaddr"
)

func TestAddressesOfOurOwnNetworkAreNotPublic(t *testing.T) {
	for ip, want := range map[string]bool{
		"8.8.8.8": true, "203.0.113.9": true, "2606:4700::1111": true, "2a00:1450::1": true, "2001:db8::1": true,
		"::ffff:8.8.8.8": true, "64:ff9b::808:808": true,

		"127.0.0.1": false, "127.8.8.8": false, "0.0.0.0": false, "0.1.2.3": false, "10.1.2.3": false, "172.16.0.1": false,
		"172.31.255.255": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "192.0.0.8": false,
		"192.88.99.1": false, "198.18.0.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,

		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "2606:4700::1111%eth0": false, "fec0::1": false,
		"fd00::1": false, "ff02::1": false, "100::1": false, "5f00::1": false,

		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false, "::8.8.8.8": false,
		"64:ff9b::7f00:1": false, "64:ff9b::a01:203": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::808:808": false,
		"2002:7f00:1::1": false, "2002:808:808::1": false, "2001:0:7f00:1::": false,
	} {
		if got := publicaddr.Public(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
	if publicaddr.Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestAnAdministratorMayNameNetworks(t *testing.T) {
	allowed := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("::1/128")}
	for ip, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::a01:203": true, "::1": true, "8.8.8.8": true,
		"10.2.2.3": false, "64:ff9b::a02:203": false, "127.0.0.1": false, "::1%lo": false,
	} {
		if got := publicaddr.May(netip.MustParseAddr(ip), allowed); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
}

package rules

import (
	"net/netip"
	"slices"
)

// networkIndex maps networks to the rules that ask for them. A client is looked up once for each length that occurs, of
// which there are 33 for IPv4 and 129 for IPv6 at most.
type networkIndex struct {
	rules   map[netip.Prefix][]int32
	lengths [2][]int // of networks of IPv4 and of IPv6
}

// family is the position of an address in networkIndex.lengths.
func family(ip netip.Addr) int {
	if ip.Is4() {
		return 0
	}
	return 1
}

func (ix *networkIndex) add(networks []netip.Prefix, rule int32) {
	if ix.rules == nil {
		ix.rules = map[netip.Prefix][]int32{}
	}
	for _, n := range networks {
		n = n.Masked()
		ix.rules[n] = append(ix.rules[n], rule)
		if lengths := &ix.lengths[family(n.Addr())]; !slices.Contains(*lengths, n.Bits()) {
			*lengths = append(*lengths, n.Bits())
		}
	}
}

// find adds the rules with a network that the client, an address without a zone, lies in.
func (ix *networkIndex) find(client netip.Addr, rules candidates) {
	if !client.IsValid() {
		return
	}
	for _, length := range ix.lengths[family(client)] {
		network, _ := client.Prefix(length) // the lengths are those of its family
		rules.add(ix.rules[network])
	}
}

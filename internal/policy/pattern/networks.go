package pattern

import (
	"net/netip"
	"slices"
)

// NetworkIndex maps networks to the rules that ask for them. A client is looked up once for each length that occurs, of
// which there are 33 for IPv4 and 129 for IPv6 at most. The zero value has none; once made it is safe for concurrent
// use.
type NetworkIndex struct {
	rules   map[netip.Prefix][]int32
	lengths [2][]int // of networks of IPv4 and of IPv6
}

// family is the position of an address in NetworkIndex.lengths.
func family(ip netip.Addr) int {
	if ip.Is4() {
		return 0
	}
	return 1
}

// Add adds a rule by its networks.
func (ix *NetworkIndex) Add(networks []netip.Prefix, rule int32) {
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

// All adds every rule that stands in it.
func (ix *NetworkIndex) All(rules Candidates) {
	for _, of := range ix.rules {
		rules.Add(of)
	}
}

// Find adds the rules with a network that the client, an address without a zone, lies in.
func (ix *NetworkIndex) Find(client netip.Addr, rules Candidates) {
	if !client.IsValid() {
		return
	}
	for _, length := range ix.lengths[family(client)] {
		network, _ := client.Prefix(length) // the lengths are those of its family
		rules.Add(ix.rules[network])
	}
}

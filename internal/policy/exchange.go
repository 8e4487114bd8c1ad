package policy

import (
	"fmt"
	"slices"
)

// KeyExchange says what the key exchange of a handshake must be, weakest first.
type KeyExchange uint8

// The values of the rule key key_exchange.
const (
	AnyExchange KeyExchange = iota
	// an elliptic curve and ML-KEM together: who records today does not read it with a quantum computer
	HybridExchange
)

// hybridGroups are the groups that are a HybridExchange, by the names that mail.TLS has. One that is not known here is
// none.
var hybridGroups = []string{"X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"}

// Hybrid reports whether a key-exchange group, by the name that mail.TLS has, is a HybridExchange.
func Hybrid(group string) bool { return slices.Contains(hybridGroups, group) }

// strengthShortfalls judges what the handshake agreed on beside its version. A group or a cipher that is not known is
// not strong. The list of reasons has none for them alone; they are what the two sides do not have in common.
func strengthShortfalls(r Requirement, e Evidence) (out []Shortfall) {
	if r.KeyExchange == HybridExchange && !Hybrid(e.TLS.Group) {
		used := e.TLS.Group
		if used == "" {
			used = "no group"
		}
		out = append(out, Shortfall{TLSNoSharedCipher,
			fmt.Sprintf("the key exchange is by %s, and a hybrid one with ML-KEM is required", used)})
	}
	if e.TLS.Bits < r.MinBits {
		out = append(out, Shortfall{TLSNoSharedCipher,
			fmt.Sprintf("the cipher %s has %d bits, and at least %d are required", e.TLS.Cipher, e.TLS.Bits,
				r.MinBits)})
	}
	return out
}

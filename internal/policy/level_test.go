package policy

import "testing"

// A demand of plaintext asks for nothing; said as "requires plaintext" it reads as an order to send in the clear.
func TestADemandForPlaintextAsksForNothing(t *testing.T) {
	for level, want := range map[Level]string{Plaintext: "nothing (best available)", Encrypted: "encrypted", Authenticated: "authenticated"} {
		if got := level.Demand(); got != want {
			t.Errorf("a demand of %v reads %q", level, got)
		}
	}
}

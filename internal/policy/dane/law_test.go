package dane_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"postern/internal/dns"
	"postern/internal/policy/dane"
)

// everyRecord is each of the certificates of the situations in every form, right and spoilt, and what cannot be used.
func everyRecord(all []situation) (out []dns.TLSA) {
	for i, s := range all {
		for j, c := range s.chain {
			if (i+j)%5 != 0 { // enough of them
				continue
			}
			for _, numbers := range []string{"3 0 0", "3 0 1", "3 0 2", "3 1 0", "3 1 1", "3 1 2", "2 0 0", "2 0 1", "2 0 2",
				"2 1 1", "2 1 2", "1 1 1", "0 0 1"} {
				r := rec(c, numbers)
				out = append(out, r, spoilt(r), cut(r, len(r.Data)-1))
			}
		}
	}
	return out
}

// TestAnotherRecordNeverSpoilsAProof: within the bounds, to add a record takes no proof away, except by the agility of
// digests: where the record that proved the server is a SHA-256 digest and the new one a whole SHA-512 digest of the
// same usage and selector.
func TestAnotherRecordNeverSpoilsAProof(t *testing.T) {
	all := situations(t)
	pool := everyRecord(all)
	random := rand.New(rand.NewPCG(7672, 7671))
	proofs, spoils := 0, 0
	for range 2000 {
		s := all[random.IntN(len(all))]
		in := s.input()
		before := dane.Examine(in)
		added := pool[random.IntN(len(pool))]
		if random.IntN(3) == 0 && len(s.chain) > 0 { // one that has to do with it
			usage, selector, matching := uint8(2+random.IntN(2)), uint8(random.IntN(2)), uint8(random.IntN(3))
			if r, err := dane.Of(s.chain[random.IntN(len(s.chain))], usage, selector, matching); err == nil {
				added = r
			}
			if random.IntN(2) == 0 {
				added = spoilt(added)
			}
		}
		in.Records = slices.Insert(slices.Clone(in.Records), random.IntN(len(in.Records)+1), added)
		after := dane.Examine(in)
		checkFit(t, after)
		if !before.Proven() {
			continue
		}
		proofs++
		if after.Proven() {
			continue
		}
		spoils++
		usage, selector, matching := before.Record[0]-'0', before.Record[2]-'0', before.Record[4]-'0'
		if matching != 1 || added.Matching != 2 || len(added.Data) != 64 || added.Usage != usage || added.Selector != selector {
			t.Fatalf("%s: %s was proven by %s, and not beside %s: %v", s.name, before.By, before.Record, dane.Format(added), after.Shortfalls)
		}
	}
	if proofs < 500 || spoils == 0 {
		t.Errorf("%d proofs, of which agility took %d: the test tests nothing", proofs, spoils)
	}
}

// TestOrderMakesNoDifference: neither that of the records nor that of the certificates above the leaf, nor what is
// there twice.
func TestOrderMakesNoDifference(t *testing.T) {
	all := situations(t)
	random := rand.New(rand.NewPCG(6698, 8446))
	for _, s := range all {
		in := s.input()
		want := dane.Examine(in)
		for range 6 {
			shuffled := s.input()
			shuffled.Records = slices.Clone(in.Records)
			if n := len(shuffled.Records); n > 0 {
				shuffled.Records = append(shuffled.Records, shuffled.Records[random.IntN(n)])
			}
			random.Shuffle(len(shuffled.Records), func(i, j int) {
				shuffled.Records[i], shuffled.Records[j] = shuffled.Records[j], shuffled.Records[i]
			})
			shuffled.Chain = slices.Clone(in.Chain)
			if n := len(shuffled.Chain); n > 1 {
				shuffled.Chain = append(shuffled.Chain, shuffled.Chain[1+random.IntN(n-1)])
				above := shuffled.Chain[1:]
				random.Shuffle(len(above), func(i, j int) { above[i], above[j] = above[j], above[i] })
			}
			got := dane.Examine(shuffled)
			if told(got) != told(want) || got.Record != want.Record {
				t.Errorf("%s: %s %q, and in another order %s %q", s.name, told(want), want.Record, told(got), got.Record)
			}
		}
	}
}

// TestStrangersSentTooMakeNoDifference: certificates that have nothing to do with the server's prove nothing, and take
// nothing away.
func TestStrangersSentTooMakeNoDifference(t *testing.T) {
	all, others := situations(t), situations(t)
	random := rand.New(rand.NewPCG(5280, 9525))
	for _, s := range all {
		if len(s.chain) == 0 {
			continue
		}
		in := s.input()
		want := told(dane.Examine(in))
		in.Chain = slices.Clone(in.Chain)
		for range 3 {
			if other := others[random.IntN(len(others))]; len(other.chain) > 0 {
				in.Chain = append(in.Chain, other.chain...)
			}
		}
		in.Chain = in.Chain[:min(len(in.Chain), 16)]
		if got := told(dane.Examine(in)); got != want {
			t.Errorf("%s: %q, with strangers %q", s.name, want, got)
		}
	}
}

// TestWithoutUsableRecordsNothingIsProven: what cannot be used is neither a proof nor "no records".
func TestWithoutUsableRecordsNothingIsProven(t *testing.T) {
	all := situations(t)
	for _, r := range everyRecord(all) {
		set := dane.Sort([]dns.TLSA{r})
		if len(set.Usable)+len(set.Unusable) != 1 {
			t.Fatalf("%s is lost", dane.Format(r))
		}
		if len(set.Unusable) == 0 {
			continue
		}
		if set.Unusable[0].Why == "" {
			t.Errorf("%s: no reason", dane.Format(r))
		}
		s := all[0]
		s.records = []dns.TLSA{r}
		if got := told(dane.Examine(s.input())); got != "dane-unusable" {
			t.Errorf("%s: %s", dane.Format(r), got)
		}
	}
}

package inforce_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"postern/internal/gateway/inforce"
	"postern/internal/operator/audit"
	"postern/internal/policy/rules"
	"postern/internal/queue/memstore"
)

// slow is a ledger between whose calls others get their turn.
type slow struct {
	*memstore.Store
	turn func()
}

func (s slow) Judge(ctx context.Context, j audit.Judgement, anew bool) (audit.Judgement, error) {
	s.turn()
	defer s.turn()
	return s.Store.Judge(ctx, j, anew)
}

func (s slow) Rules(ctx context.Context) (audit.Revision, error) {
	defer s.turn()
	return s.Store.Rules(ctx)
}

func ruleNamed(name string) (*rules.Set, string) {
	text := fmt.Sprintf("[[rule]]\nname = %q\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"clinic.test\"]\n", name)
	set, err := rules.Parse("test", []byte(text))
	if err != nil {
		panic(err)
	}
	return set, text
}

func quiet(audit.Revision, *rules.Set) (audit.Entry, error) { return audit.Entry{By: "test"}, nil }

// TestLawNumbersNeverGoBeforeRules: two gateways change the rules of one ledger, and each its own files, all at once.
// Of whatever was in force anywhere, what had older rules had a lower number: so mail that was judged by it is judged
// again wherever newer rules are in force.
func TestLawNumbersNeverGoBeforeRules(t *testing.T) {
	for seed := range uint64(30) {
		ledger := slow{memstore.New(), func() {}}
		random := rand.New(rand.NewPCG(seed, 3))
		var mu sync.Mutex
		ledger.turn = func() {
			mu.Lock()
			n := random.IntN(4)
			mu.Unlock()
			for range n {
				runtime.Gosched()
			}
		}
		seen := map[[2]int64]bool{}
		var gateways sync.WaitGroup
		for name := range 2 {
			own := rand.New(rand.NewPCG(seed, uint64(name)))
			gateways.Go(func() {
				files := 0
				k := inforce.NewKeeper(t.Context(), inforce.Config{Ledger: ledger, Shared: true,
					Files: func(...string) string { return fmt.Sprint(name, files) }})
				for i := range 40 {
					var err error
					switch own.IntN(4) {
					case 0:
						set, text := ruleNamed(fmt.Sprint("g", name, "r", i))
						_, err = k.Apply(t.Context(), set, text, quiet)
					case 1:
						files++
						_, err = k.Tend(t.Context())
					case 2:
						_, err = k.SetTable(t.Context(), nil, nil)
					case 3:
						err = k.Reload(t.Context())
					}
					if err != nil && !errors.Is(err, inforce.ErrNoRules) {
						t.Errorf("seed %d: %v", seed, err)
					}
					if v := k.Now(); v.Err == nil {
						mu.Lock()
						seen[[2]int64{v.Number, v.Revision}] = true
						mu.Unlock()
					}
				}
			})
		}
		gateways.Wait()
		var order [][2]int64
		for pair := range seen {
			order = append(order, pair)
		}
		slices.SortFunc(order, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
		for i := 1; i < len(order); i++ {
			if order[i][1] < order[i-1][1] {
				t.Fatalf("seed %d: number %d had revision %d, number %d has %d", seed, order[i-1][0], order[i-1][1], order[i][0], order[i][1])
			}
		}
	}
}

// TestAChangeBeginsWithWhatOthersChanged: who applies rules is shown, and asked about, what is newest in the ledger.
func TestAChangeBeginsWithWhatOthersChanged(t *testing.T) {
	store := memstore.New()
	a := inforce.NewKeeper(t.Context(), inforce.Config{Ledger: store, Shared: true})
	b := inforce.NewKeeper(t.Context(), inforce.Config{Ledger: store, Shared: true})
	set, text := ruleNamed("first")
	if _, err := a.Apply(t.Context(), set, text, quiet); err != nil {
		t.Fatal(err)
	}
	if b.Now().Revision != 0 {
		t.Fatal(b.Now().Revision)
	}
	refused := errors.New("somebody looked at another revision")
	_, err := b.Apply(t.Context(), set, text, func(before audit.Revision, old *rules.Set) (audit.Entry, error) {
		if before.Number != 1 || len(old.Rules()) != 1 {
			t.Errorf("it is shown revision %d", before.Number)
		}
		return audit.Entry{}, refused
	})
	if !errors.Is(err, refused) || b.Now().Revision != 1 {
		t.Errorf("%v, in force %d", err, b.Now().Revision)
	}
	before := a.Now().Number
	if err := b.Reload(t.Context()); err != nil || b.Now().Number != before {
		t.Errorf("gateways that have the same have numbers %d and %d, %v", before, b.Now().Number, err)
	}
}

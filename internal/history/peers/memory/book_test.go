package memory_test

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"postern/internal/history/peers"
	"postern/internal/history/peers/memory"
	"postern/internal/lab/testkit/stores"
	"postern/internal/platform/records"
	"postern/internal/policy"
)

// peerRecord is a record with every field set, for the n-th host.
func peerRecord(n int) peers.Record {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Minute)
	return peers.Record{
		Host: fmt.Sprintf("mx%d.clinic.test", n), IP: netip.MustParseAddr("2001:db8::1"), Port: 25, FirstSeen: at.Add(-time.Hour), LastSeen: at,
		StartTLS: true, LastOffered: at, Keywords: []string{"PIPELINING",
			"SIZE"}, TLS: 7, TLSDays: 3, FirstTLS: at.Add(-time.Hour), LastTLS: at,
		Streak: 5, StreakSince: at.Add(-time.Minute), LostAt: at, LostReason: policy.StartTLSStripped, Version: "TLSv1.3",
		Cipher: "TLS_AES_128_GCM_SHA256", Group: "X25519MLKEM768", Level: policy.Authenticated,
		Certificate: &peers.Certificate{Subject: "CN=mx", Issuer: "CN=CA", NotBefore: at, NotAfter: at, SHA256: "ab",
			SPKI: "cd", Since: at},
		UnderRule: at, Warned: 14, Changes: []peers.Change{{At: at, Kind: peers.NewKey, Before: "a", After: "b\u202e"}},
	}
}

// The laws of the book, on each store.
func TestBook(t *testing.T) {
	each := func(name string, test func(t *testing.T, b *memory.Book, again func() *memory.Book)) {
		t.Run(name, func(t *testing.T) {
			stores.Each(t, func(t *testing.T, s records.Store, again func() records.Store) {
				test(t, memory.NewBook(s), func() *memory.Book { return memory.NewBook(again()) })
			})
		})
	}
	each("A record comes back as it was kept, also after opening again", func(t *testing.T, b *memory.Book,
		again func() *memory.Book) {
		want := []peers.Record{peerRecord(2), peerRecord(1), {IP: netip.MustParseAddr("192.0.2.1"), Port: 2525,
			LastSeen: peerRecord(0).LastSeen}}
		keep(t, b, []peers.Record{want[1], want[2], want[0]}, nil, 10)
		wantPeers(t, b, want)
		wantPeers(t, again(), want)
	})
	each("The last word about a peer counts, and hosts at one address are apart", func(t *testing.T, b *memory.Book,
		_ func() *memory.Book) {
		old, other := peerRecord(1), peerRecord(1)
		other.Host = "other.test"
		other.LastSeen = other.LastSeen.Add(-time.Second)
		keep(t, b, []peers.Record{old, other}, nil, 10)
		next := peerRecord(1)
		next.TLS, next.Certificate, next.Changes = 8, nil, nil
		keep(t, b, []peers.Record{next}, nil, 10)
		wantPeers(t, b, []peers.Record{next, other})
	})
	each("What is forgotten is gone, and forgetting a stranger is no error", func(t *testing.T, b *memory.Book,
		_ func() *memory.Book) {
		one, two, stranger := peerRecord(1), peerRecord(2), peerRecord(3)
		keep(t, b, []peers.Record{one, two}, nil, 10)
		keep(t, b, nil, []peers.Key{one.Key(), stranger.Key()}, 10)
		wantPeers(t, b, []peers.Record{two})
	})
	each("Those that answered last are kept", func(t *testing.T, b *memory.Book, _ func() *memory.Book) {
		var put []peers.Record
		for n := range 30 {
			put = append(put, peerRecord((n*7)%30))
		}
		keep(t, b, put, nil, 4)
		wantPeers(t, b, []peers.Record{peerRecord(29), peerRecord(28), peerRecord(27), peerRecord(26)})
	})
	each("A call whose context has ended changes nothing", func(t *testing.T, b *memory.Book, _ func() *memory.Book) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.KeepPeers(ctx, []peers.Record{peerRecord(1)}, nil, 10); err == nil {
			t.Error("no error")
		}
		wantPeers(t, b, nil)
	})
}

func keep(t *testing.T, b *memory.Book, put []peers.Record, forget []peers.Key, most int) {
	t.Helper()
	if err := b.KeepPeers(t.Context(), put, forget, most); err != nil {
		t.Fatal(err)
	}
}

func wantPeers(t *testing.T, b *memory.Book, want []peers.Record) {
	t.Helper()
	got, err := b.Peers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("the book has %+v\nwant %+v", got, want)
	}
}

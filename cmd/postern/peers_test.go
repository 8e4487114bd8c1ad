package main

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/internal/event"
	"postern/internal/history/peers"
	"postern/internal/history/peers/memory"
	"postern/internal/policy"
	"postern/internal/queue/memstore"
)

// rememberedPeers puts three servers into a store: one with TLS under a rule, one that lost it, one that never had it
// and tries to write to the terminal.
func rememberedPeers(t *testing.T, store *memstore.Store) *memory.Memory {
	t.Helper()
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	good := peers.Record{Host: "mx.good.test", IP: netip.MustParseAddr("192.0.2.9"), Port: 25, FirstSeen: noon.AddDate(0, 0, -9), LastSeen: noon,
		StartTLS: true, LastOffered: noon, Keywords: []string{"8BITMIME", "PIPELINING"}, TLS: 40, TLSDays: 9, FirstTLS: noon.AddDate(0, 0, -9), LastTLS: noon,
		Streak: 40, StreakSince: noon.AddDate(0, 0, -9), Version: "TLSv1.3", Cipher: "TLS_AES_128_GCM_SHA256", Group: "X25519MLKEM768",
		Level: policy.Authenticated, UnderRule: noon,
		Certificate: &peers.Certificate{Subject: "CN=mx.good.test", Issuer: "CN=Test CA", NotBefore: noon.AddDate(0, -1, 0), NotAfter: noon.AddDate(0, 2, 0),
			SHA256: strings.Repeat("9f", 32), SPKI: strings.Repeat("1a", 32), Since: noon.AddDate(0, 0, -2)},
		Changes: []peers.Change{{At: noon.AddDate(0, 0, -2), Kind: peers.NewKey, Before: "CN=mx.good.test, by CN=Old CA, until 2026-12-01, sha256 77",
			After: "CN=mx.good.test, by CN=Test CA, until 2027-01-23, sha256 9f"}}}
	lost := good
	lost.Host, lost.IP, lost.StartTLS, lost.LostAt, lost.LostReason = "mx.lost.test", netip.MustParseAddr("192.0.2.10"), false, noon.Add(-time.Hour), policy.StartTLSStripped
	lost.LastTLS, lost.LastOffered, lost.LastSeen, lost.UnderRule = noon.Add(-2*time.Hour), noon.Add(-2*time.Hour), noon.Add(-time.Minute), time.Time{}
	lost.Changes = []peers.Change{{At: lost.LostAt, Kind: peers.TLSLost, Before: "TLSv1.3 until 2026-11-23T10:00:00Z", After: "starttls-stripped"}}
	plain := peers.Record{Host: "mx.plain.test", IP: netip.MustParseAddr("2001:db8::7"), Port: 2525, FirstSeen: noon.Add(-time.Hour), LastSeen: noon.Add(-2 * time.Minute),
		Changes: []peers.Change{{At: noon, Kind: peers.NewKeywords, Before: "", After: "\x1b[2JX"}}}
	if err := memory.NewBook(store).KeepPeers(t.Context(), []peers.Record{good, lost, plain}, nil, 10); err != nil {
		t.Fatal(err)
	}
	m, err := memory.Open(t.Context(), memory.Config{Book: memory.NewBook(store), Sink: event.Discard{}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPeersAreShownAsTheyStand(t *testing.T) {
	postern := serveBacklog(t)
	for _, c := range []struct{ file, args string }{
		{"peers-list.txt", "peers list"},
		{"peers-list.json", "peers list --json"},
		{"peers-lost.txt", "peers list --lost"},
		{"peers-show.txt", "peers show *.test"},
	} {
		code, out, errs := postern(strings.Fields(c.args)...)
		if code != cli.ExitOK {
			t.Fatalf("%s: exit code %d: %s", c.args, code, errs)
		}
		golden(t, c.file, out)
		for line := range strings.Lines(out) {
			switch {
			case strings.HasSuffix(c.file, ".json") && !json.Valid([]byte(line)):
				t.Errorf("no JSON: %s", line)
			case strings.HasSuffix(c.file, ".txt") && len([]rune(line)) > 81 && !strings.Contains(line, "SHA-256") && !strings.Contains(line, "SPKI"):
				t.Errorf("over 80 columns: %s", line)
			case strings.ContainsAny(line, "\x1b\r"):
				t.Errorf("control characters: %q", line)
			}
		}
	}
}

func TestForgettingPeersIsRecorded(t *testing.T) {
	postern := serveBacklog(t)
	for _, c := range []struct {
		args string
		code int
		out  string
	}{
		{"peers forget mx.lost.test", cli.ExitOK, "1 record forgotten\n"},
		{"peers forget mx.lost.test", cli.ExitShort, ""},
		{"peers show mx.lost.test", cli.ExitShort, ""},
		{"peers list --lost", cli.ExitOK, "no such server is remembered\n"},
		{"peers forget --json *.good.test nosuch.test 2001:DB8::7", cli.ExitShort, `{"forgotten":2,"unknown":["nosuch.test"]}` + "\n"},
		{"peers list", cli.ExitOK, "no such server is remembered\n"},
		{"peers forget", cli.ExitUsage, ""},
		{"peers forget no..domain", cli.ExitUsage, ""},
	} {
		code, out, errs := postern(strings.Fields(c.args)...)
		if code != c.code || out != c.out || code != cli.ExitOK && errs == "" {
			t.Errorf("%s: exit code %d, %q, %q; want %d, %q", c.args, code, out, errs, c.code, c.out)
		}
	}
	_, out, _ := postern("audit")
	for _, want := range []string{"peers forget", "mx.lost.test 192.0.2.10:25 TLS 40 times, last", "2026-11-23T10:00:00Z", "[2001:db8::7]:2525 TLS never", "Count           2"} {
		if !strings.Contains(out, want) {
			t.Errorf("the trail lacks %q:\n%s", want, out)
		}
	}
}

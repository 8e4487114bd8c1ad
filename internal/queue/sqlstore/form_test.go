package sqlstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
	"postern/internal/queue/sqlite"
	"postern/internal/queue/stored"
	"postern/internal/queue/storetest"
	"postern/internal/queue/young"
)

// fixture makes a data folder as a release that wrote form 1 left it.
func fixture(t *testing.T, more ...string) string {
	t.Helper()
	dir := folderOf(t, "form1.sql", more...)
	err := os.WriteFile(filepath.Join(dir, "spool", "fz7p66zuw3j2rasl32ofda4uxs.body"), bytes.Repeat([]byte("l"), 70000), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// folderOf makes a data folder with the database of a script in testdata, and of more.
func folderOf(t *testing.T, name string, more ...string) string {
	t.Helper()
	dir := t.TempDir()
	script, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	c, err := sqlite.Dial(filepath.Join(dir, "queue.db"), append([]string{string(script)}, more...)...)
	if err == nil {
		err = c.Close()
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "spool"), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDurable(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T, place string) storetest.DurableStore { return open(t, place) })
}

// TestOldForm: what a release of form 1 wrote opens and means the same.
func TestOldForm(t *testing.T) {
	s := open(t, fixture(t))
	defer s.Close()
	states := map[queue.ID]queue.State{}
	for r, err := range s.List(t.Context(), queue.Filter{Recipient: "a@b.test"}) {
		if err != nil {
			t.Fatal(err)
		}
		states[r.Message.ID] = r.State
		if r.Message.ID == "waiting" && (!r.Requirement.Forced() || r.SiteState.Failures != 2 || r.SiteState.Last.Reason != policy.CertExpired ||
			len(r.History) != 1 || len(r.History[0].Tries[0].Evidence.Chain) != 2 || r.Message.Inbound.Helo != "client.test") {
			t.Errorf("the deferred delivery reads as %+v", r)
		}
	}
	if len(states) != 3 || states["delivered"] != queue.Delivered || states["waiting"] != queue.Queued || states["large"] != queue.Queued {
		t.Errorf("states %v", states)
	}
	wantContent(t, s, "waiting", 20)
	wantContent(t, s, "large", 70000)
	if r, err := s.Rules(t.Context()); err != nil || r.Number != 1 || r.By != "admin" {
		t.Errorf("rules %+v, %v", r, err)
	}
	if err := finish(t, s); err != nil {
		t.Error(err)
	}
}

// TestOldJournal: what a release of form 5 left in its journal, a chain of records in which nobody is remembered, is
// brought into the database once.
func TestOldJournal(t *testing.T) {
	record := acceptedRecord(t, 41)
	sums := crc32.MakeTable(crc32.Castagnoli)
	b := append([]byte("PsTnJrnl\x01\x00\x00\x00"), 7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, sums))
	head := binary.LittleEndian.AppendUint32(nil, crc32.Checksum([]byte{9, 0, 0, 0, 0, 0, 0, 0}, sums))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(record)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(record)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(append(head, record...), sums))
	b = append(append(b, record...), "stale bytes"...)

	dir := fixture(t, "UPDATE totals SET last_seq = 40")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "journal"), 0o700),
		os.WriteFile(filepath.Join(dir, "journal", "00000001.seg"), b, 0o600)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := open(t, dir)
		n := 0
		for r, err := range s.List(t.Context(), queue.Filter{IDs: []queue.ID{"m"}}) {
			if err != nil || !r.State.Waiting() {
				t.Errorf("%+v, %v", r, err)
			}
			n++
		}
		if n != 2 {
			t.Errorf("%d deliveries of the old journal, want 2", n)
		}
		wantContent(t, s, "waiting", 20)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRefusedForms: what this release cannot read is refused, never guessed at.
func TestRefusedForms(t *testing.T) {
	newerDemand := `UPDATE site SET requirement = json_set(requirement, '$.quantum', 1) WHERE id = 2`
	for name, tt := range map[string]struct {
		dir  string
		want error
	}{
		"a newer form":        {fixture(t, "PRAGMA user_version=99"), queue.ErrNewerForm},
		"a foreign database":  {fixture(t, "PRAGMA application_id=7"), sqlite.ErrForeign},
		"a database unmarked": {fixture(t, "PRAGMA application_id=0; PRAGMA user_version=0"), sqlite.ErrForeign},
		"no database": {func() string {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "queue.db"), bytes.Repeat([]byte("junk "), 5000), 0o600); err != nil {
				t.Fatal(err)
			}
			return dir
		}(), nil},
	} {
		s, err := Open(t.Context(), Config{Dir: tt.dir})
		if err == nil {
			s.Close()
		}
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", name, err, tt.want)
		}
	}
	s := open(t, fixture(t, newerDemand))
	defer s.Close()
	_, err := s.Sites(t.Context())
	if !errors.Is(err, queue.ErrNewerForm) {
		t.Errorf("Sites with a demand of a newer release: %v, want ErrNewerForm", err)
	}
	key := queue.NewSiteKey("mx:clinic.test", policy.Requirement{Channel: policy.Authenticated})
	if _, err := s.Claim(t.Context(), queue.Claim{Site: key, Now: testTime.Add(time.Hour), Until: testTime.Add(2 * time.Hour)}); !errors.Is(err, queue.ErrNewerForm) {
		t.Errorf("Claim with a demand of a newer release: %v, want ErrNewerForm", err)
	}
}

// TestForeignFiles: files that are not ours are left alone, left-over bodies go.
func TestForeignFiles(t *testing.T) {
	dir := fixture(t)
	keep := []string{"notes.txt", "queue.db.bak", "spool/README", "spool/short.body", "spool/fz7p66zuw3j2rasl32ofda4uxs.body"}
	for _, name := range append(keep[:len(keep)-1:len(keep)-1], "spool/aaaaaaaaaaaaaaaaaaaaaaaaaa.body") {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", filepath.Join(dir, "spool", "link")); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	defer s.Close()
	for _, name := range append(keep, "spool/link") {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "spool/aaaaaaaaaaaaaaaaaaaaaaaaaa.body")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a body nobody names is still there: %v", err)
	}
}

// TestLeasesDie: a lease does not outlive its handle, and an old one does not fit the next handle.
func TestLeasesDie(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := put(t, s, "m", 10); err != nil {
		t.Fatal(err)
	}
	claim := queue.Claim{Site: "mx:b.test", Now: testTime, Until: testTime.Add(time.Hour)}
	old, err := s.Claim(t.Context(), claim)
	if err != nil || len(old) != 1 {
		t.Fatalf("claimed %d, %v", len(old), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	settle := queue.Batch{Now: testTime, Settlements: []queue.Settlement{{Lease: old[0].Lease, State: queue.Delivered}}}
	if err := s.Settle(t.Context(), settle); !errors.Is(err, queue.ErrStaleLease) {
		t.Errorf("settling under a lease of the last handle: %v", err)
	}
	if again, err := s.Claim(t.Context(), claim); err != nil || len(again) != 1 {
		t.Errorf("claimed %d, %v", len(again), err)
	}
	if err := s.Settle(t.Context(), settle); !errors.Is(err, queue.ErrStaleLease) {
		t.Errorf("settling under a lease of the last handle: %v", err)
	}
}

// acceptedRecord is the record of a message with two recipients, one of them held.
func acceptedRecord(t *testing.T, seq int64) []byte {
	t.Helper()
	var ds [2]queue.NewDelivery
	for i := range ds {
		ds[i].NextHop, ds[i].Recipient.Address = "mx:b.test", mail.MustAddress("a@b.test")
	}
	ds[1].State = queue.Held
	body := stored.Body{Data: make([]byte, 100), Size: 100, Sum: stored.Sum(0).With(make([]byte, 100))}
	n, err := stored.Ready(&queue.Submission{Message: queue.Message{ID: "m", AcceptedAt: testTime}, Deliveries: ds[:]}, body)
	if err != nil {
		t.Fatal(err)
	}
	r := young.AcceptRecord(n)
	young.NumberRecord(r.Head, seq)
	return append(r.Head, r.Body...)
}

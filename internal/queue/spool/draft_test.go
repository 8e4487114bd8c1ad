package spool

import (
	"bytes"
	"io"
	"os"
	"sync/atomic"
	"testing"

	"postern/internal/queue/stored"
)

// TestDraftMemory: many drafts hold together what they may, and what was written early to a file is the same body.
func TestDraftMemory(t *testing.T) {
	s := New(Config{Dir: t.TempDir(), SmallBody: 128 << 10, DraftMemory: 256 << 10, Disk: OS{}, Broken: new(atomic.Bool)})
	if err := s.Take(); err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	const drafts, size = 40, 30_000
	all := make([]*Draft, drafts)
	for i := range all {
		all[i] = s.NewDraft()
	}
	for range 300 { // all of them grow side by side, as slow clients do
		held := 0
		for i, d := range all {
			if n, err := d.Write(bytes.Repeat([]byte{'a' + byte(i)}, 100)); n != 100 || err != nil {
				t.Fatal(n, err)
			}
			held += len(d.buf)
		}
		if most := 256<<10 + drafts*freeDraft; held > most {
			t.Fatalf("drafts hold %d bytes, at most %d are planned", held, most)
		}
	}
	if files, err := os.ReadDir(s.folder()); len(files) == 0 || err != nil {
		t.Errorf("%d drafts went to a file, %v", len(files), err)
	}
	for i, d := range all {
		if i%4 == 3 {
			if err := d.Discard(); err != nil {
				t.Error(err)
			}
			continue
		}
		body, err := d.Seal()
		if err != nil {
			t.Fatal(err)
		}
		d.Accepted()
		if got := read(t, s, body); !bytes.Equal(got, bytes.Repeat([]byte{'a' + byte(i)}, size)) {
			t.Errorf("draft %d came back with %d bytes", i, len(got))
		}
	}
	if n := s.drafted.Load(); n != 0 {
		t.Errorf("%d bytes count as held by drafts that have ended", n)
	}
	small := s.NewDraft()
	if _, err := small.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if body, err := small.Seal(); body.File != "" || len(body.Data) != size || err != nil {
		t.Errorf("a small body is a file though there is memory again, %v", err)
	}
}

func read(t *testing.T, s *Spool, b stored.Body) []byte {
	t.Helper()
	r, err := s.Open(&stored.Content{Message: "m", File: b.File, Data: b.Data, Size: b.Size, Sum: &b.Sum})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

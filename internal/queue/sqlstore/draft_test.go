package sqlstore

import (
	"bytes"
	"testing"

	"postern/internal/queue"
)

// TestDraftMemory: many drafts hold together what they may, and what was written early to a file is the same message.
func TestDraftMemory(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), DraftMemory: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const messages, size = 40, 30_000
	subs := make([]*queue.Submission, messages)
	for i := range subs {
		if subs[i], err = message(t, s, queue.ID([]byte{'a' + byte(i)}), 100); err != nil {
			t.Fatal(err)
		}
	}
	held := 0
	for range 299 { // all of them grow side by side, as slow clients do
		held = 0
		for i, sub := range subs {
			d := sub.Body.(*draft)
			if n, err := d.Write(bytes.Repeat([]byte{'a' + byte(i)}, 100)); n != 100 || err != nil {
				t.Fatal(n, err)
			}
			held += len(d.buf)
		}
		if most := 256<<10 + messages*freeDraft; held > most {
			t.Fatalf("drafts hold %d bytes, at most %d are planned", held, most)
		}
	}
	if files := spooled(t, s); files == 0 {
		t.Error("no draft went to a file")
	}
	for i, sub := range subs {
		if i%4 == 3 {
			if err := sub.Body.Discard(); err != nil {
				t.Error(err)
			}
			continue
		}
		if err := s.Accept(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		wantContent(t, s, sub.Message.ID, size)
	}
	if n := s.drafted.Load(); n != 0 {
		t.Errorf("%d bytes count as held by drafts that have ended", n)
	}
	if err := put(t, s, "small", size); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), "small")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, isRow := r.(reader); !isRow {
		t.Error("a small body is a file though there is memory again")
	}
}

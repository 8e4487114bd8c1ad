package copymark_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"postern/internal/gateway/copymark"
	"postern/internal/mail"
	"postern/internal/platform/records"
	"postern/internal/policy"
	"postern/internal/queue/memstore"
)

const message = "From: <alice@example.test>\r\nMessage-ID: <1@example.test>\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\n\r\n"

func header(text string) mail.Header { return mail.ParseHeader([]byte(text)) }

// above puts fields above a message, as they go out.
func above(fields []policy.Field, text string) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	return b.String() + text
}

func TestACopyThatComesBackIsKnown(t *testing.T) {
	m := copymark.New(nil)
	archive, second := mail.MustAddress("archive@copies.test"), mail.MustAddress("second@copies.test")
	marks := m.Fields(header(message), []mail.Address{archive, second})
	copied := above(marks, message)
	if len(marks) != 2 || strings.Contains(copied, "archive") {
		t.Fatalf("the marks are %q", marks)
	}
	stamped := "Received: from a.test by b.test; Mon, 2 Nov 2026 10:00:01 +0000\r\n" + copied
	folded := strings.ReplaceAll(copied, copymark.Name+": ", strings.ToLower(copymark.Name)+":\r\n ")
	bare := strings.ReplaceAll(message, "Message-ID: <1@example.test>\r\n", "")
	bareMarks := m.Fields(header(bare), []mail.Address{archive})
	for _, tt := range []struct {
		what string
		text string
		to   string
		has  bool
	}{
		{"a copy", copied, "archive@copies.test", true},
		{"for the other who got one", copied, "second@copies.test", true},
		{"in other letters", copied, "Archive@Copies.TEST", true},
		{"below what others wrote", stamped, "archive@copies.test", true},
		{"folded, in small letters", folded, "archive@copies.test", true},
		{"among marks of others", "X-Postern-Copy: abc\r\nX-Postern-Copy:\r\n" + copied, "archive@copies.test", true},
		{"of a copy of the copy", above(m.Fields(header(copied), []mail.Address{mail.MustAddress("third@copies.test")}),
			copied), "archive@copies.test", true},
		{"without a Message-ID", above(bareMarks, bare), "archive@copies.test", true},
		{"the message itself", message, "archive@copies.test", false},
		{"for who got none", copied, "third@copies.test", false},
		{"taken from another message", above(marks, strings.ReplaceAll(message, "<1@", "<2@")), "archive@copies.test",
			false},
		{"taken from another message without a Message-ID",
			above(bareMarks, strings.ReplaceAll(bare, "10:00:00", "11:00:00")), "archive@copies.test", false},
		{"of another gateway", above(copymark.New(nil).Fields(header(message), []mail.Address{archive}), message),
			"archive@copies.test", false},
		{"cut", strings.ReplaceAll(copied, marks[0].Value, marks[0].Value[:10]), "archive@copies.test", false},
		{"in the text", message + copied, "archive@copies.test", false},
	} {
		if got := m.Has(header(tt.text), mail.MustAddress(tt.to)); got != tt.has {
			t.Errorf("%s: known %v, want %v", tt.what, got, tt.has)
		}
	}
}

// All gateways of a store know each other's marks, after restarts too, also where they start at the same moment.
func TestTheKeyIsThatOfTheStore(t *testing.T) {
	store := memstore.New()
	to := []mail.Address{mail.MustAddress("archive@copies.test")}
	all := make([]string, 8)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			m, err := copymark.Open(t.Context(), store)
			if err != nil {
				t.Error(err)
				return
			}
			all[i] = m.Fields(header(message), to)[0].Value
		})
	}
	wg.Wait()
	for _, mark := range all {
		if mark != all[0] || len(mark) != 20 {
			t.Errorf("marks %q", all)
			break
		}
	}
	n, err := records.Read(t.Context(), store, func(r records.Reader) (int, error) { return r.Count("copy-mark") })
	if n != 1 || err != nil {
		t.Errorf("%d keys, %v", n, err)
	}
}

package pgstore

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/queue/database"
	"postern/internal/queue/postgres"
	"postern/internal/queue/search"
)

// heard is a connection that remembers what it was asked.
type heard struct {
	*postgres.Conn
	asked map[string][]any
}

func (h heard) Query(ctx context.Context, text string, each func(r database.Row) error, args ...any) error {
	h.asked[text] = args
	return h.Conn.Query(ctx, text, each, args...)
}

func (h heard) Number(ctx context.Context, text string, args ...any) (int64, error) {
	h.asked[text] = args
	return h.Conn.Number(ctx, text, args...)
}

func (h heard) Read(_ context.Context, do func(db database.Reader) error) error { return do(h) }

func (h heard) Known(context.Context, database.Reader) (search.Known, error) {
	return search.Known{}, nil
}

func (h heard) MarkSending(context.Context, database.Reader, []queue.Record) error { return nil }

// TestSearchesReadKeys: whatever is asked of tables that were filled a moment ago, an index answers it.
func TestSearchesReadKeys(t *testing.T) {
	t.Parallel()
	cfg := fresh(t)
	s := open(t, cfg)
	defer s.Close()
	if err := s.Accept(t.Context(), submission(t, s, 1, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	parsed, err := postgres.Parse(cfg.URL, cfg.Schema, 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := postgres.Dial(t.Context(), parsed)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const many = 20_000
	for _, text := range []string{
		`INSERT INTO message SELECT g + 1000, 'x' || g, m.accepted + g, g % 20, m.size, m.revision, NULL, g << 20, 's' || g || '@d' || g % 50 || '.test', m.facts
			FROM message m, generate_series(1, %d) g`,
		`INSERT INTO delivery SELECT (g + 1000)::bigint << 20, d.site, CASE WHEN g %% 20 = 0 THEN 3 + g %% 3 ELSE 1 END, d.due, NULL, d.expires, d.due, 0, 0, 0, '',
			d.recipient + g, 'r' || g || '@d' || g %% 50 || '.test', d.facts FROM delivery d, generate_series(1, %d) g`,
	} {
		if err := c.Script(t.Context(), fmt.Sprintf(strings.ReplaceAll(text, "g % ", "g %% "), many)); err != nil {
			t.Fatal(err)
		}
	}
	h, x := heard{c, map[string][]any{}}, search.New(postgres.Dialect())
	scope := []mail.Domain{mail.MustDomain("d7.test"), mail.MustDomain("d9.test")}
	for _, f := range []queue.Filter{{}, {Scope: scope}, {Scope: scope, States: []queue.State{queue.Failed}}, {States: []queue.State{queue.Held, queue.Failed}},
		{Domain: "d7.test"}, {Recipient: "r17@d17.test"}, {MessageID: "a@b"}, {Sender: "s*@d7.test"}, {IDs: []queue.ID{"x17"}}, {Site: "mx:b.test"},
		{Site: "mx:b.test", States: []queue.State{queue.Queued}}, {Since: begin.Add(time.Millisecond), Until: begin.Add(2 * time.Millisecond)}} {
		f.Limit = 300
		x.List(t.Context(), h, &f, func(_ queue.Record, err error) bool {
			if err != nil {
				t.Fatalf("%+v: %v", f, err)
			}
			return true
		})
	}
	ask := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ask(x.Sites(t.Context(), h))
	ask(x.TookMail(t.Context(), h, begin, 1000))
	ask(x.Finished(t.Context(), h, 1<<40, begin, 100))
	ask(x.Selected(t.Context(), h, &queue.Action{Sites: []queue.SiteKey{"mx:b.test"}}, search.Known{}))
	scans := regexp.MustCompile(`Seq Scan on (\w+)`)
	for text, args := range h.asked {
		var plan []string
		if err := c.Query(t.Context(), "EXPLAIN "+text, func(r database.Row) error {
			plan = append(plan, r.Text(0))
			return nil
		}, args...); err != nil {
			t.Fatal(err)
		}
		if m := scans.FindStringSubmatch(strings.Join(plan, "\n")); m != nil && m[1] != "totals" {
			t.Errorf("%s\n%s", text, strings.Join(plan, "\n"))
		}
		if testing.Verbose() {
			t.Logf("%s\n%s", text, strings.Join(plan, "\n"))
		}
	}
}

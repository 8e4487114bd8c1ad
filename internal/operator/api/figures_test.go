package api

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/internal/history/traffic"
	"postern/internal/lab/testkit/backlog"
	"postern/internal/operator/access"
)

// An answer of sums is bounded, and never a part that could be taken for the whole.
func TestSumsAreBounded(t *testing.T) {
	w := newRemoteWorld(t)
	client := w.token(t, "root", access.Auditor, access.Scope{All: true}, access.ReadStatus)
	add := func(from, to int) {
		t.Helper()
		var sums []traffic.Sum
		for i := from; i < to; i++ {
			sums = append(sums, traffic.Sum{At: traffic.Bucket(traffic.OfDomain, backlog.Noon.AddDate(0, 0, i%2)), Kind: traffic.OfDomain, Name: fmt.Sprintf("d%d.test", i),
				Level: "encrypted", Outcome: traffic.Delivered, Count: 1})
		}
		if err := traffic.NewBook(w.store).AddTraffic(t.Context(), sums); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(query string) (int, string) {
		t.Helper()
		res, err := client.do(t.Context(), request{path: "/traffic?kind=domain" + query})
		var problem *Problem
		if err != nil {
			if problem, _ = err.(*Problem); problem == nil {
				t.Fatal(err)
			}
			return problem.Code, problem.Text
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	add(0, sumsMost)
	if code, text := ask(""); code != http.StatusOK || strings.Count(text, `"name"`) != sumsMost {
		t.Errorf("%d, %d sums", code, strings.Count(text, `"name"`))
	}
	add(sumsMost, sumsMost+1)
	if code, text := ask(""); code != http.StatusBadRequest || !strings.Contains(text, "more than 20000 sums") {
		t.Errorf("one more: %d %.200s", code, text)
	}
	until := traffic.Bucket(traffic.OfDomain, backlog.Noon).AddDate(0, 0, 1).Format(time.RFC3339)
	for _, query := range []string{"&name=d7.test", "&until=" + until} {
		if code, text := ask(query); code != http.StatusOK || !strings.Contains(text, `"name"`) {
			t.Errorf("%s: %d %.200s", query, code, text)
		}
	}
}

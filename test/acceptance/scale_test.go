package acceptance

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/bench/backlog"
	"postern/test/harness"
)

// TestScaleOfPages prints how long the pages of the console take above a long history: with POSTERN_SCALE=1000000 that
// is 2,400,000 finished deliveries in 5,000 domains, beside 5,000 rules. One who may see one of these domains finds all
// of its mail and no other, however much there is of others.
func TestScaleOfPages(t *testing.T) {
	scale, _ := strconv.Atoi(os.Getenv("POSTERN_SCALE"))
	if scale == 0 {
		t.Skip("POSTERN_SCALE is not set")
	}
	finished := scale / 100 * 240
	w := newWorld(t)
	w.Settings["admin.listen"] = fmt.Sprintf("%q", harness.FreeAddress(t))
	data := filepath.Join(w.Dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	err := backlog.Fill(t.Context(), data, backlog.Config{Finished: finished, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	for n := range 5_000 {
		fmt.Fprintf(&rules, "[[rule]]\nname = \"partner %d\"\naction = \"force-tls\"\n[rule.match]\nrecipient = [\"*@partner%d.test\"]\n", n, n)
	}
	w.Start("")
	w.Apply(rules.String())
	sees := map[string]*visitor{}
	for name, limits := range map[string][]string{"everything": nil, "one domain": {"--domain", "partner10.test"}} {
		account := strings.Fields(name)[0]
		link := strings.TrimSpace(w.Postern(append([]string{"accounts", "invite", account, "--new", "--role", "administrator"}, limits...)...))
		_, key, _ := strings.Cut(link, "#")
		v := visit(t, w)
		if page := v.posts("/setup", "key", key, "password", "a long sentence of mine", "again", "a long sentence of mine"); !strings.Contains(page, "Sign out") {
			t.Fatalf("%s cannot sign in: %.500s", name, page)
		}
		sees[name] = v
	}
	for _, path := range []string{"/", "/trace", "/trace?recipient=*@partner10.test", "/trace?state=failed", "/queue", "/destinations",
		"/destinations/partner10.test", "/observed", "/rules", "/reports"} {
		for _, name := range []string{"everything", "one domain"} {
			var took []time.Duration
			size := 0
			for range 5 {
				start := time.Now()
				text := page(t, sees[name], path)
				took = append(took, time.Since(start))
				size = len(text)
				if name == "one domain" && path == "/trace" {
					if rows := strings.Count(text, "@partner10.test"); rows < min(finished/5_000, 20) || strings.Contains(text, "@partner11.test") {
						t.Errorf("the trace of one domain has %d addresses", rows)
					}
				}
			}
			slices.Sort(took)
			t.Logf("%-36s %-11s %8v (slowest %v), %d bytes", path, name, took[2].Round(100*time.Microsecond), took[4].Round(100*time.Microsecond), size)
		}
	}
}

// page is the text of a page that is there.
func page(t *testing.T, v *visitor, path string) string {
	t.Helper()
	res, err := v.http.Get(v.base + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v: %.300s", path, res.StatusCode, err, text)
	}
	return string(text)
}

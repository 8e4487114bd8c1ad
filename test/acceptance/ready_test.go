package acceptance

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"postern/test/harness"
)

// ready waits until /readyz answers with a status and a text.
func (w *world) ready(status int, text string) {
	w.T.Helper()
	address := strings.Trim(w.Settings["admin.listen"], `"`)
	last := ""
	defer func() {
		if w.T.Failed() {
			w.T.Logf("/readyz said %s", last)
		}
	}()
	harness.Eventually(w.T, harness.Patience, fmt.Sprintf("/readyz says %d %s", status, text), func() bool {
		resp, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body := make([]byte, 1000)
		n, _ := resp.Body.Read(body)
		last = resp.Status + " " + string(body[:n])
		return resp.StatusCode == status && strings.Contains(last, text)
	})
}

// metric is the value of a series.
func (w *world) metric(series string) float64 {
	w.T.Helper()
	for line := range strings.Lines(w.Get("/metrics", http.StatusOK)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				w.T.Error(err)
			}
			return v
		}
	}
	w.T.Errorf("there is no %s", series)
	return -1
}

// TestReadyzSaysWhatTheNextMessageHears: a full disk, no room for another session, the end.
func TestReadyzSaysWhatTheNextMessageHears(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Settings["admin.listen"] = fmt.Sprintf("%q", harness.FreeAddress(t))
	w.Settings["limits.connections"] = "2"
	data := filepath.Join(w.Dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	small := os.Getuid() == 0 && syscall.Mount("tmpfs", data, "tmpfs", 0, "size=24m,mode=0700") == nil
	if small {
		t.Cleanup(func() { _ = syscall.Unmount(data, syscall.MNT_DETACH) })
	}
	w.Start("")
	w.ready(200, "ready")
	if w.metric("postern_ready") != 1 || w.metric("postern_reload_success") != 1 || w.metric("postern_disk_free_bytes") <= w.metric("postern_disk_kept_bytes") ||
		w.metric(`postern_refused_total{code="452"}`) != 0 || w.metric(`postern_deliveries_total{leg="gateway-world",level="authenticated",reason="cert-expired",state="failed"}`) != 0 {
		t.Error("the metrics do not begin with what is so")
	}
	if end := w.metric(`postern_certificate_end_timestamp_seconds{kind="server",name="gw.home.test"}`); end < float64(w.Now.Unix()) {
		t.Errorf("our certificate ends at %v", end)
	}
	if !strings.Contains(w.Get("/metrics", 200), "postern_build_info{go=\"go1") {
		t.Error("no build info")
	}

	if small {
		ballast := filepath.Join(data, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 22<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		w.ready(503, "no space left")
		c := w.Connect("")
		c.Say("EHLO mail.home.test", "250")
		c.Say("MAIL FROM:<anna@home.test>", "250")
		c.Say("RCPT TO:<anna@home.test>", "250")
		c.Say("DATA", "354")
		c.Raw("Subject: too much\r\n\r\nx\r\n")
		c.Say(".", "452")
		c.Say("QUIT", "221")
		if w.metric("postern_ready") != 0 || w.metric("postern_disk_free_bytes") >= w.metric("postern_disk_kept_bytes") || w.metric(`postern_refused_total{code="452"}`) != 1 {
			t.Error("the metrics do not show it")
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		w.ready(200, "ready")
	}

	one, two := w.Connect(harness.NewIP()), w.Connect(harness.NewIP())
	one.Say("EHLO a.home.test", "250")
	two.Say("EHLO b.home.test", "250")
	w.ready(503, "421")
	two.Say("QUIT", "221")
	w.ready(200, "ready")

	w.Settings["relay.require"] = "plaintext" // no TOML any more
	w.Configure()
	w.Signal(syscall.SIGHUP)
	harness.Eventually(t, harness.Patience, "the reload that failed is shown", func() bool { return w.metric("postern_reload_success") == 0 })
	w.ready(200, "ready") // mail goes on with what was read before
	delete(w.Settings, "relay.require")
	w.reload()
	if w.metric("postern_reload_success") != 1 {
		t.Error("a reload that was taken is not shown")
	}

	one.Say("MAIL FROM:<anna@home.test>", "250")
	w.Signal(syscall.SIGTERM)
	w.ready(503, "stopping")
	one.Say("RSET", "250")
}

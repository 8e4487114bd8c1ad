package rooms

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"postern/internal/config"
	"postern/internal/mail"
)

func adminOf(listen, url string, tls bool) *config.Config {
	return &config.Config{Hostname: mail.MustDomain("gw.example.com"), Admin: config.Admin{Listen: listen, URL: url, TLS: tls}}
}

// A link can be opened: no address in it stands for all of a machine's.
func TestTheConsolesAddressCanBeOpened(t *testing.T) {
	for _, c := range []struct {
		cfg  *config.Config
		want string
	}{
		{adminOf("127.0.0.1:8025", "", false), "http://127.0.0.1:8025"},
		{adminOf("[::1]:8025", "", false), "http://[::1]:8025"},
		{adminOf("0.0.0.0:8025", "", true), "https://gw.example.com:8025"},
		{adminOf("[::]:8025", "", true), "https://gw.example.com:8025"},
		{adminOf(":8025", "", true), "https://gw.example.com:8025"},
		{adminOf("[::ffff:0.0.0.0]:8025", "", true), "https://gw.example.com:8025"},
		{adminOf("192.0.2.1:8025", "", true), "https://192.0.2.1:8025"},
		{adminOf("admin.example.com:8025", "", true), "https://admin.example.com:8025"},
		{adminOf("127.0.0.1:8025", "https://console.example.com/", false), "https://console.example.com"},
		{adminOf("", "", false), "http://127.0.0.1:8025"},
	} {
		if got := ConsoleURL(c.cfg); got != c.want {
			t.Errorf("%+v: %s, want %s", c.cfg.Admin, got, c.want)
		}
	}
}

// What names another host at a loopback listener is answered nothing.
func TestALoopbackListenerAnswersToItsNames(t *testing.T) {
	cfg := adminOf("127.0.0.5:8025", "https://console.example.com:444", false)
	h := HostGuard(cfg, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for host, want := range map[string]int{
		"127.0.0.5:8025": 204, "127.0.0.1": 204, "localhost:8025": 204, "LOCALHOST": 204, "localhost.:8025": 204, "[::1]:8025": 204, "[::ffff:127.0.0.1]:1": 204,
		"gw.example.com:8025": 204, "console.example.com": 204, "console.example.com:444": 204,
		"evil.test": 421, "evil.test:8025": 421, "localhost.evil.test": 421, "127.0.0.1.evil.test:8025": 421, "192.0.2.1:8025": 421, "0.0.0.0:8025": 421, "": 421, "evil.test:127.0.0.1": 421,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "http://x/", nil)
		r.Host = host
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("Host %q: %d, want %d", host, w.Code, want)
		}
	}
}

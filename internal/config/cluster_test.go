package config_test

import (
	"strings"
	"testing"

	"postern/internal/config"
)

// TestAGatewayThatSharesItsStore: what is said of it is examined.
func TestAGatewayThatSharesItsStore(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing is said":             {"", ""},
		"everything is":               {"node = \"gw-1.example\"\nlease = \"10s\"\napply_wait = \"10s\"", ""},
		"a name with a blank":         {"node = \"gw 1\"", "cluster.node: must be a name"},
		"a name that changes colours": {"node = \"\\u001b[31m\"", "cluster.node: must be a name"},
		"a lease of a moment":         {"lease = \"1s\"", "cluster.lease: must be at least 3s"},
		"a wait below the lease":      {"apply_wait = \"10s\"", "cluster.apply_wait: must be at least the lease"},
	} {
		_, err := config.Parse("t.toml", "/etc", "gw.test", []byte("store = \"postgres://db.test/postern\"\n[cluster]\n"+c.text))
		told := ""
		if err != nil {
			told = err.Error()
		}
		if (c.want == "") != (told == "") || !strings.Contains(told, c.want) {
			t.Errorf("%s: %s", name, told)
		}
	}
}

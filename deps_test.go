// Package house holds the rules of the house as tests: who may import whom (deps_test.go) and how code is written
// (house_test.go). There is no other code at the root.
package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// lattice is the import lattice, bottom to top: each room under internal and which of ours it may import. Widening a
// line is a decision; ARCHITECTURE.md says why each stands where it stands. A room that is not named here fails.
func lattice() map[string]string {
	return map[string]string{
		"mail":               "",
		"operator/audit":     "",
		"queue/wal":          "",
		"smtp/tlsprobe":      "",
		"platform/tomlfile": "",
		"platform/passhash":  "",
		"platform/ram":       "",
		"platform/filewatch": "",
		"platform/certpem":   "",

		"smtp": "mail",

		"operator/access": "mail",

		"policy":           "mail",
		"dns":              "mail",
		"queue/schedule":   "mail",
		"mail/received":    "mail",
		"mail/addresslist": "mail",
		"smtp/smtpserver":  "mail smtp smtp/tlsprobe",
		"lab/pki":          "mail",

		"attempt":          "mail policy",
		"policy/rules":     "mail policy platform/tomlfile",
		"policy/certcheck": "mail policy",
		"policy/revoke":    "policy",
		"dns/resolver":     "platform/filewatch mail dns",
		"smtp/smtpclient":  "mail smtp policy", // policy for the names of reasons only
		"config":           "mail policy platform/tomlfile platform/passhash platform/certpem platform/sandbox",
		"lab/zone":         "mail dns",
		"lab/partner":      "mail smtp smtp/smtpserver lab/pki",

		"policy/certcheck/roots": "platform/certpem platform/filewatch policy policy/certcheck",
		"event":                  "mail policy attempt",
		"queue":                  "mail policy attempt operator/audit",
		"mail/dsn":               "mail smtp policy attempt",

		"event/metrics":        "mail policy attempt event",
		"event/maillog":        "mail smtp policy attempt event",
		"gateway/route":        "mail policy dns event",
		"history/peers":        "mail policy attempt",
		"policy/mxpins":        "mail policy",
		"history/peers/memory": "mail policy attempt event history/peers",
		"operator/pending":     "",
		"platform/flush":       "",
		"operator/accounts":    "mail operator/access operator/audit platform/passhash operator/pending platform/flush",
		"history/traffic":      "mail policy event platform/flush",
		"history/certstore":    "attempt policy event platform/flush",
		"queue/memstore":       "mail policy attempt queue operator/audit history/peers policy/mxpins operator/access operator/accounts history/traffic history/certstore",
		"queue/sqlstore":       "queue/wal mail policy attempt queue operator/audit history/peers policy/mxpins operator/access operator/accounts history/traffic history/certstore",

		"gateway/identity": "platform/certpem platform/filewatch platform/sandbox",
		"platform/sandbox": "",
		"gateway/deliver":  "mail smtp policy attempt event history/peers policy/mxpins gateway/route smtp/smtpclient policy/certcheck",
		"gateway/inforce":  "mail policy policy/rules queue operator/audit gateway/route",
		"gateway/intake":   "mail smtp policy policy/rules event queue smtp/smtpserver gateway/clientname gateway/inforce gateway/route",

		"gateway/clientname": "mail dns",
		"gateway/recipients": "platform/filewatch mail mail/addresslist smtp smtp/smtpclient policy event queue gateway/inforce gateway/route gateway/deliver",

		"gateway/notify":   "mail smtp policy policy/rules event queue gateway/inforce",
		"gateway/dispatch": "mail smtp smtp/smtpclient policy policy/rules attempt event queue queue/schedule policy/mxpins gateway/inforce gateway/route gateway/deliver mail/dsn",

		"check": "mail smtp smtp/smtpclient smtp/tlsprobe policy policy/certcheck attempt dns policy/mxpins history/peers gateway/route gateway/deliver",

		"operator/admin":      "mail smtp policy policy/certcheck policy/rules attempt event queue operator/audit history/peers policy/mxpins operator/access check history/traffic history/certstore gateway/inforce",
		"operator/websession": "mail operator/access operator/accounts operator/admin",
		"operator/oidc":       "operator/pending",
		"operator/api":        "mail policy policy/rules queue operator/audit policy/mxpins operator/access operator/accounts check history/traffic gateway/inforce operator/admin operator/websession",
		"operator/web":        "mail mail/received policy policy/rules attempt queue operator/audit policy/mxpins operator/access operator/accounts check history/traffic operator/admin operator/websession operator/oidc",
	}
}

// testRooms are code for tests only. They may import any room; only tests and each other may import them.
func isTestRoom(room string) bool {
	return strings.HasPrefix(room, "lab/testkit") || room == "queue/storetest"
}

// ground rooms take facts and return decisions; they know no world.
func isGround(room string) bool {
	return slices.Contains([]string{"mail", "smtp", "policy", "policy/rules", "policy/certcheck", "queue/schedule",
		"mail/received", "mail/addresslist", "mail/dsn", "attempt", "event", "history/peers", "platform/tomlfile", "smtp/tlsprobe", "operator/access", "platform/passhash", "platform/certpem"}, room)
}

// never is a line that forbids: what may not be imported, where, and the reason.
type never struct {
	imports []string
	where   func(room string) bool
	why     string
}

func negative() []never {
	except := func(rooms ...string) func(string) bool {
		return func(room string) bool { return !slices.Contains(rooms, room) && !isTestRoom(room) }
	}
	only := func(rooms ...string) func(string) bool {
		return func(room string) bool { return slices.Contains(rooms, room) }
	}
	return []never{
		{[]string{"net", "os", "io/fs", "log", "log/slog", "context", "sync", "sync/atomic", "net/http", "math/rand", "crypto/rand"},
			isGround, "a ground room takes facts and returns decisions, so that its tests need no world"},
		{[]string{"log", "log/slog"},
			only("smtp/smtpserver", "smtp/smtpclient", "queue", "queue/memstore", "queue/sqlstore", "dns", "dns/resolver",
				"gateway/route", "gateway/deliver", "gateway/inforce", "gateway/intake", "gateway/clientname", "gateway/recipients", "gateway/dispatch", "gateway/notify", "operator/admin", "policy/revoke",
				"history/peers/memory"),
			"engines and workflows return facts or emit events; the log is one reader of them"},
		{[]string{"postern/internal/config"}, except(),
			"rooms have small Config structs of their own; only cmd/postern knows the file"},
		{[]string{"database/sql", "modernc.org/sqlite", "modernc.org/sqlite/lib"}, except("queue/sqlstore"),
			"what is stored how is the business of the store"},
		{[]string{"postern/internal/queue/sqlstore"}, except(),
			"everything above speaks to queue.Store, so that another engine can take its place"},
		{[]string{"github.com/prometheus/client_golang/prometheus"}, except("event/metrics"),
			"counting is reading events"},
		{[]string{"github.com/alecthomas/kong", "github.com/coreos/go-systemd/v22/activation", "github.com/coreos/go-systemd/v22/daemon"}, except(),
			"the command line and the service manager end in cmd/postern"},
		{[]string{"github.com/danielgtaylor/huma/v2", "github.com/danielgtaylor/huma/v2/sse", "github.com/danielgtaylor/huma/v2/adapters/humago"}, except("operator/api"),
			"the API is one face of admin"},
		{[]string{"github.com/coreos/go-oidc/v3/oidc", "golang.org/x/oauth2"}, except("operator/oidc"), "names from elsewhere come in at one place"},
		{[]string{"github.com/go-webauthn/webauthn/webauthn", "github.com/go-webauthn/webauthn/protocol"}, except("operator/accounts"),
			"who proved what is the business of accounts"},
		{[]string{"testing", "testing/synctest"}, except(),
			"code that behaves differently under test is not tested"},
		{[]string{"golang.org/x/sys/unix", "unsafe"}, except("platform/sandbox"), "what the kernel offers to one process is the sandbox's"},
		{[]string{"golang.org/x/sys/windows"}, except("queue/sqlstore"), "only the store needs more of Windows than the standard library has"},
		{[]string{"net/smtp", "net/textproto", "github.com/emersion/go-smtp"}, except("lab/partner"),
			"SMTP is spoken by our own engines; the others are oracles for tests"},
		{[]string{"net/mail"}, except(), "addresses and headers are read by mail, which keeps their wire form"},
	}
}

func TestRoomsImportOnlyWhatTheLatticeAllows(t *testing.T) {
	allowed := lattice()
	for room, imports := range rooms(t) {
		if isTestRoom(room) {
			continue
		}
		line, named := allowed[room]
		if !named {
			t.Errorf("internal/%s is not in the lattice: add it to lattice() and to ARCHITECTURE.md", room)
			continue
		}
		for _, path := range imports {
			other, ours := strings.CutPrefix(path, "postern/internal/")
			switch {
			case !ours:
			case isTestRoom(other):
				t.Errorf("internal/%s imports internal/%s, which is for tests", room, other)
			case !slices.Contains(strings.Fields(line), other):
				t.Errorf("internal/%s imports internal/%s, and the lattice does not allow it", room, other)
			}
		}
	}
}

func TestNoRoomImportsWhatIsForbiddenToIt(t *testing.T) {
	for room, imports := range rooms(t) {
		for _, n := range negative() {
			if !n.where(room) {
				continue
			}
			for _, path := range n.imports {
				if slices.Contains(imports, path) {
					t.Errorf("internal/%s imports %s: %s", room, path, n.why)
				}
			}
		}
	}
}

// Load, sink and null relay are no part of the product, and use nothing of it.
func TestTheProductDoesNotImportWhatMeasuresIt(t *testing.T) {
	for _, path := range goFiles(t, "internal", "cmd") {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range file.Imports {
			if strings.HasPrefix(imp.Path.Value, `"postern/bench`) || strings.HasPrefix(imp.Path.Value, `"postern/test`) {
				t.Errorf("%s imports %s", path, imp.Path.Value)
			}
		}
	}
	for _, part := range []string{"bench/wire", "bench/source", "bench/sink", "bench/nullrelay", "bench/measure"} {
		for _, path := range goFiles(t, part) {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, imp := range file.Imports {
				if strings.HasPrefix(imp.Path.Value, `"postern/internal/`) && !strings.HasSuffix(path, "_test.go") {
					t.Errorf("%s imports %s: it would share the gateway's mistakes and its speed", path, imp.Path.Value)
				}
			}
		}
	}
}

func TestAParentNeverImportsItsChildren(t *testing.T) {
	for room, imports := range rooms(t) {
		for _, path := range imports {
			if strings.HasPrefix(path, "postern/internal/"+room+"/") {
				t.Errorf("internal/%s imports %s, which stands on it", room, path)
			}
		}
	}
}

func TestTheLatticeIsAcyclicAndNarrow(t *testing.T) {
	l := lattice()
	var height func(room string, above []string) int
	height = func(room string, above []string) int {
		if slices.Contains(above, room) {
			t.Fatalf("a cycle: %v", append(above, room))
		}
		h := 0
		for _, other := range strings.Fields(l[room]) {
			if _, named := l[other]; !named {
				t.Errorf("%s may import %s, which is not in the lattice", room, other)
				continue
			}
			h = max(h, 1+height(other, append(slices.Clone(above), room)))
		}
		return h
	}
	for room := range l {
		height(room, nil)
	}
	for room := range l {
		if _, exists := rooms(t)[room]; !exists {
			t.Logf("the lattice names internal/%s, which has no code yet", room)
		}
	}
}

// rooms returns the direct imports of every package under internal, tests not included.
func rooms(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string]map[string]bool{}
	for _, path := range goFiles(t, "internal") {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		room := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "internal/")
		if found[room] == nil {
			found[room] = map[string]bool{}
		}
		for _, imp := range file.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			found[room][name] = true
		}
	}
	out := map[string][]string{}
	for room, set := range found {
		out[room] = slices.Sorted(maps.Keys(set))
	}
	return out
}

// goFiles lists the Go files below the roots, test data and hidden folders not included.
func goFiles(t *testing.T, roots ...string) []string {
	t.Helper()
	var files []string
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if name := d.Name(); d.IsDir() && (name == "testdata" || len(name) > 1 && name[0] == '.') {
				return filepath.SkipDir
			}
			if !d.IsDir() && strings.HasSuffix(path, ".go") {
				files = append(files, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

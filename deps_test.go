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
// line is a decision. A room that is not named here fails.
func lattice() map[string]string {
	return map[string]string{
		"mail":               "",
		"operator/audit":     "",
		"queue/wal":          "",
		"smtp/proxyheader":   "",
		"smtp/tlsprobe":      "",
		"platform/tomlfile":  "",
		"platform/passhash":  "",
		"platform/ram":       "",
		"platform/filewatch": "",
		"platform/certpem":   "",
		"platform/records":   "",

		"platform/pause":      "",
		"platform/publicaddr": "",

		"smtp": "mail",

		"operator/access": "mail",

		"policy":           "mail",
		"dns":              "mail",
		"queue/schedule":   "",
		"mail/received":    "mail",
		"mail/addresslist": "mail",
		"mail/mimewalk":    "mail",
		"smtp/smtpserver":  "mail smtp smtp/tlsprobe",
		"lab/pki":          "",

		"attempt":           "mail policy",
		"policy/pattern":    "mail platform/tomlfile",
		"policy/authorship": "mail platform/tomlfile policy/pattern",
		"policy/rulevalue":  "mail platform/tomlfile policy policy/pattern",
		"policy/rule":       "mail platform/tomlfile policy policy/pattern policy/rulevalue",
		"policy/exception":  "mail platform/tomlfile policy policy/rulevalue",
		"policy/rulelist":   "platform/tomlfile policy/pattern policy/rule policy/rulevalue",
		"policy/rulematch":  "mail mail/mimewalk platform/tomlfile policy/authorship policy/pattern policy/rule policy/rulelist",
		"policy/rules":      "mail platform/tomlfile policy policy/exception policy/pattern policy/rule policy/rulelist policy/rulematch policy/rulevalue",
		"policy/rulediff":   "mail platform/tomlfile policy/exception policy/rule policy/rulelist policy/rules",
		"policy/ruleedit":   "platform/tomlfile policy policy/rule policy/rules policy/rulevalue mail",
		"policy/certcheck":  "mail policy",
		"policy/dane":       "mail policy policy/certcheck dns",
		"policy/ownzone":    "mail smtp policy policy/certcheck policy/dane policy/sts policy/tlsrpt dns",
		"policy/revoke":     "policy platform/publicaddr",
		"policy/sts":        "mail smtp platform/tomlfile",
		"policy/tlsrpt":     "mail smtp policy",
		"dns/resolver":      "platform/filewatch mail dns",
		"smtp/smtpclient":   "mail smtp policy", // policy for the names of reasons only
		"config":            "mail policy policy/sts platform/passhash platform/publicaddr platform/tomlfile",
		"config/danger":     "config platform/publicaddr platform/sandbox policy policy/sts",
		"lab/zone":          "",
		"lab/partner":       "",
		"lab/postgres":      "",

		"policy/certcheck/roots": "platform/certpem platform/filewatch policy",
		"event":                  "mail policy attempt",
		"queue":                  "mail policy attempt operator/audit",
		"mail/dsn":               "mail smtp policy attempt",

		"event/metrics":        "mail policy event",
		"event/maillog":        "mail smtp policy attempt event",
		"gateway/route":        "mail platform/publicaddr policy policy/dane policy/sts dns event gateway/stscache",
		"history/peers":        "mail policy attempt",
		"policy/mxpins":        "mail policy platform/records",
		"history/peers/memory": "event history/peers platform/records",
		"operator/pending":     "",
		"platform/flush":       "",
		"operator/accounts":    "operator/access operator/audit platform/passhash operator/pending platform/flush platform/records",
		"history/traffic":      "mail policy event platform/flush platform/records",
		"history/tlscounts":    "mail policy policy/tlsrpt attempt event platform/flush platform/records",
		"history/certstore":    "event platform/flush platform/records",
		"history/told":         "platform/records",
		"history/inbound":      "mail smtp event platform/flush platform/records",
		"history/tlsreports":   "policy/tlsrpt history/inbound platform/flush platform/records",
		"queue/memstore":       "policy attempt queue operator/audit platform/records",
		"queue/database":       "",
		"queue/group":          "",
		"queue/gate":           "queue",
		"queue/sqlite":         "queue queue/database",
		"queue/postgres":       "queue queue/database",
		"queue/stored":         "mail policy attempt queue queue/database",
		"queue/search":         "mail queue queue/database queue/stored",
		"queue/spool":          "queue/wal queue queue/stored",
		"queue/young":          "queue/wal policy queue queue/stored",
		"queue/sqlrecords":     "operator/audit platform/records queue queue/database queue/stored",
		"queue/sqltables":      "mail queue queue/database queue/sqlite queue/stored",
		"queue/sqlstore":       "queue/wal queue queue/database queue/gate queue/group queue/search queue/spool queue/stored queue/sqlite queue/sqlrecords queue/sqltables queue/storecopy queue/young",
		"queue/storeclock":     "policy attempt queue operator/audit",
		"queue/storecopy":      "queue queue/database queue/stored",
		"queue/pgnodes":        "gateway/nodes queue/database queue/postgres queue/storeclock platform/pause",
		"queue/leased":         "queue",
		"queue/pgtables":       "queue queue/database queue/postgres queue/storecopy queue/stored",
		"queue/pgstore":        "operator/audit queue queue/database queue/gate queue/group queue/leased queue/pgnodes queue/pgtables queue/postgres queue/search queue/sqlrecords queue/stored",

		"gateway/identity":  "platform/certpem platform/filewatch platform/sandbox",
		"platform/sandbox":  "",
		"gateway/deliver":   "mail smtp policy attempt history/peers policy/mxpins gateway/route smtp/smtpclient policy/certcheck policy/dane",
		"gateway/inforce":   "mail mail/mimewalk policy policy/rules queue operator/audit gateway/route policy/authorship policy/rule policy/rulematch",
		"gateway/admission": "mail smtp policy policy/certcheck policy/rules policy/rule",
		"gateway/intake":    "mail smtp policy policy/rules policy/tlsrpt event queue smtp/smtpserver gateway/admission gateway/clientname gateway/copymark gateway/inforce platform/publicaddr",

		"gateway/balancer":   "event platform/publicaddr smtp/proxyheader",
		"gateway/clientname": "mail dns",
		"gateway/copymark":   "mail policy platform/records",
		"gateway/nodes":      "platform/pause",
		"gateway/stscache":   "mail smtp policy policy/sts policy/tlsrpt dns gateway/webclient platform/records",
		"gateway/webclient":  "mail smtp dns platform/publicaddr",
		"gateway/tlsreport":  "mail policy/tlsrpt dns event queue gateway/inforce gateway/submit gateway/webclient history/tlscounts platform/records",
		"gateway/publicweb":  "mail policy/tlsrpt policy event",
		"gateway/certorder":  "smtp event platform/certpem platform/records",
		"gateway/expiry":     "event",
		"gateway/zonewatch":  "mail dns policy/dane policy/ownzone policy/sts policy/tlsrpt event gateway/stscache",
		"gateway/reportbox":  "mail smtp policy/mxpins policy/tlsrpt dns event history/inbound history/tlsreports",
		"gateway/recipients": "platform/filewatch mail mail/addresslist smtp smtp/smtpclient policy event queue gateway/inforce gateway/route gateway/deliver",

		"gateway/notify":   "mail smtp policy event queue gateway/inforce gateway/submit history/told platform/pause",
		"gateway/fate":     "mail mail/dsn policy attempt event queue gateway/inforce gateway/submit policy/rule",
		"gateway/dispatch": "mail smtp smtp/smtpclient policy attempt event queue queue/schedule policy/mxpins gateway/inforce gateway/route gateway/deliver gateway/fate gateway/submit platform/pause",
		"gateway/submit":   "mail policy event queue gateway/inforce",

		"check":          "mail smtp policy policy/certcheck attempt history/peers",
		"check/examiner": "check mail smtp smtp/smtpclient smtp/tlsprobe policy attempt dns policy/mxpins gateway/route gateway/deliver platform/pause",

		"operator/scope":      "attempt event gateway/inforce mail operator/access operator/audit operator/trace policy/rule queue smtp",
		"operator/live":       "event gateway/inforce operator/access operator/scope operator/trace queue",
		"operator/past":       "attempt gateway/inforce history/traffic mail operator/access operator/hindsight operator/scope operator/trace policy queue",
		"operator/reports":    "gateway/tlsreport history/inbound history/tlscounts history/tlsreports mail operator/access operator/scope operator/trace platform/records policy/tlsrpt",
		"operator/servers":    "attempt check history/peers mail operator/access operator/audit operator/scope operator/trace queue",
		"operator/waiting":    "event gateway/inforce mail operator/access operator/audit operator/scope operator/trace policy policy/rules queue",
		"operator/mailhosts":  "attempt gateway/inforce mail operator/access operator/audit operator/scope operator/trace policy policy/mxpins queue",
		"operator/policies":   "gateway/stscache mail operator/access operator/audit operator/scope operator/trace policy",
		"operator/figures":    "history/traffic",
		"operator/trial":      "mail",
		"operator/admin":      "mail mail/mimewalk operator/trial smtp policy policy/authorship policy/rule policy/rulediff policy/ruleedit policy/rulelist policy/rulematch policy/rules event queue operator/audit policy/mxpins operator/access check history/traffic history/certstore gateway/admission gateway/inforce gateway/nodes gateway/route operator/hindsight operator/trace operator/scope operator/live operator/past operator/reports operator/servers operator/waiting operator/mailhosts operator/policies policy/exception policy/rulevalue",
		"operator/trace":      "mail policy policy/rule attempt queue operator/access",
		"operator/hindsight":  "mail smtp policy policy/certcheck policy/mxpins attempt queue history/certstore",
		"operator/websession": "operator/access operator/accounts",
		"operator/oidc":       "operator/pending",
		"operator/signin":     "mail operator/access operator/accounts operator/oidc operator/websession",
		"operator/ruleform":   "policy/rules policy/rule",
		"operator/api":        "mail policy policy/rules queue operator/audit policy/mxpins operator/access operator/accounts check history/traffic gateway/inforce operator/admin operator/websession operator/trace operator/scope operator/live operator/past operator/reports operator/servers operator/waiting operator/mailhosts operator/policies policy/rule",
		"operator/web":        "mail mail/received policy policy/rules queue operator/audit policy/mxpins operator/access operator/accounts check history/traffic operator/admin operator/hindsight operator/websession operator/oidc operator/trace operator/scope operator/live operator/past operator/reports operator/servers operator/waiting operator/mailhosts operator/policies operator/figures operator/ruleform operator/signin policy/rule",
	}
}

// narrow is how many rooms of ours a room may import; wide are those that need more, each with its reason.
const narrow = 10

func wide() map[string]string {
	return map[string]string{
		"check/examiner":     "asks what a delivery asks, of each room that a delivery asks",
		"gateway/intake":     "asks each room that has a say in whether a client may go on",
		"gateway/dispatch":   "joins queue, schedule, route, ladder and fates into one loop",
		"gateway/recipients": "asks servers of ours as a delivery would, and keeps what they answer",
		"operator/admin":     "authorises every question about every room",
		"operator/api":       "renders the answers of every room",
		"queue/pgstore":      "joins tables, engine, memory and what all stores have in common",
		"queue/sqlstore":     "joins journal, files, engine and what all stores have in common",
		"operator/web":       "renders the answers of every room",
	}
}

// testRooms are code for tests only. They may import any room; only tests and each other may import them.
func isTestRoom(room string) bool {
	return strings.HasPrefix(room, "lab/testkit") || room == "queue/storetest"
}

// ground rooms take facts and return decisions; they know no world.
func isGround(room string) bool {
	return slices.Contains([]string{"mail", "smtp", "policy", "policy/pattern", "policy/authorship", "policy/exception", "policy/rule", "policy/rulediff", "policy/ruleedit", "policy/rulelist", "policy/rulematch", "policy/rules", "policy/rulevalue", "policy/certcheck", "policy/dane", "policy/ownzone", "policy/sts", "policy/tlsrpt", "queue/schedule",
		"mail/received", "mail/addresslist", "mail/mimewalk", "mail/dsn", "attempt", "event", "history/peers", "platform/tomlfile", "smtp/proxyheader", "smtp/tlsprobe",
		"operator/access", "operator/figures", "operator/ruleform", "operator/trace", "operator/trial", "check", "platform/passhash", "platform/certpem", "platform/publicaddr"}, room)
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
			only("smtp/smtpserver", "smtp/smtpclient", "queue", "queue/memstore", "queue/group", "queue/leased", "queue/pgnodes", "queue/pgstore", "queue/pgtables", "queue/postgres", "queue/search", "queue/spool", "queue/sqlite", "queue/sqlrecords", "queue/sqlstore", "queue/storecopy", "queue/stored", "queue/young", "dns", "dns/resolver", "queue/sqltables",
				"gateway/route", "gateway/deliver", "gateway/inforce", "gateway/intake", "gateway/clientname", "gateway/recipients", "gateway/stscache", "gateway/certorder", "gateway/expiry", "gateway/nodes", "gateway/dispatch", "gateway/submit", "gateway/notify", "policy/revoke", "gateway/copymark", "gateway/fate",
				"operator/admin", "operator/live", "operator/mailhosts", "operator/past", "operator/policies", "operator/reports", "operator/scope", "operator/servers", "operator/waiting",
				"history/peers/memory"),
			"engines and workflows return facts or emit events; the log is one reader of them"},
		{[]string{"postern/internal/config"}, except("config/danger"),
			"rooms have small Config structs of their own; only cmd/postern knows the file"},
		{[]string{"database/sql", "modernc.org/sqlite", "modernc.org/sqlite/lib"}, except("queue/sqlite"),
			"what is stored how is the business of the store"},
		{[]string{"github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgconn", "github.com/jackc/pgx/v5/pgxpool"}, except("queue/postgres"),
			"what is stored how is the business of the store"},
		{[]string{"postern/internal/queue/sqlstore", "postern/internal/queue/pgstore"}, except(),
			"everything above speaks to queue.Store, so that another engine can take its place"},
		{[]string{"postern/internal/check/examiner"}, except(),
			"a check is begun by who is given the means to; all others read its report"},
		{[]string{"github.com/emersion/go-msgauth/dkim"}, except("gateway/tlsreport", "gateway/reportbox"),
			"nothing but reports about TLS is signed: mail of others goes on as it came"},
		{[]string{"github.com/prometheus/client_golang/prometheus"}, except("event/metrics"),
			"counting is reading events"},
		{[]string{"github.com/alecthomas/kong", "github.com/coreos/go-systemd/v22/activation", "github.com/coreos/go-systemd/v22/daemon"}, except(),
			"the command line and the service manager end in cmd/postern"},
		{[]string{"github.com/danielgtaylor/huma/v2", "github.com/danielgtaylor/huma/v2/sse", "github.com/danielgtaylor/huma/v2/adapters/humago"}, except("operator/api"),
			"the API is one face of admin"},
		{[]string{"github.com/coreos/go-oidc/v3/oidc", "golang.org/x/oauth2"}, except("operator/oidc"), "names from elsewhere come in at one place"},
		{[]string{"github.com/go-webauthn/webauthn/webauthn", "github.com/go-webauthn/webauthn/protocol"}, except("operator/accounts"),
			"who proved what is the business of accounts"},
		{[]string{"golang.org/x/crypto/acme"}, except("gateway/certorder"), "one room asks the CA"},
		{[]string{"testing", "testing/synctest"}, except(),
			"code that behaves differently under test is not tested"},
		{[]string{"golang.org/x/sys/unix", "unsafe"}, except("platform/sandbox"), "what the kernel offers to one process is the sandbox's"},
		{[]string{"golang.org/x/sys/windows"}, except("queue/spool"), "only the store needs more of Windows than the standard library has"},
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
			t.Errorf("internal/%s is not in the lattice: add it to lattice(), and run make docs", room)
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
		if _, exists := rooms(t)[room]; !exists {
			t.Errorf("the lattice names internal/%s, which is not there", room)
		}
	}
	for room, imports := range rooms(t) {
		n := 0
		for _, path := range imports {
			if strings.HasPrefix(path, "postern/internal/") {
				n++
			}
		}
		_, named := wide()[room]
		if n > narrow && !named && !isTestRoom(room) {
			t.Errorf("internal/%s imports %d rooms of ours, more than %d: cut it, or say in wide() why it must", room, n, narrow)
		}
		if n <= narrow && named {
			t.Errorf("internal/%s imports only %d rooms of ours: take it out of wide()", room, n)
		}
	}
	for room := range wide() {
		if _, exists := l[room]; !exists {
			t.Errorf("wide() names internal/%s, which is not in the lattice", room)
		}
	}
}

// TestThePermittedArrowsAreUsed keeps the lattice minimal: an arrow that no import uses is taken out, so that a new
// import is a decision each time.
func TestThePermittedArrowsAreUsed(t *testing.T) {
	imports := rooms(t)
	for room, line := range lattice() {
		for _, other := range strings.Fields(line) {
			if !slices.Contains(imports[room], "postern/internal/"+other) {
				t.Errorf("%s may import %s and does not: take it out of lattice()", room, other)
			}
		}
	}
}

// parts are the packages of cmd/postern, each with those of them that it may import. Any may import rooms.
func parts() map[string]string {
	return map[string]string{
		"cli":        "",
		"logging":    "",
		"rooms":      "",
		"headers":    "cli",
		"process":    "cli",
		"remote":     "cli",
		"records":    "cli rooms",
		"sockets":    "cli",
		"datafolder": "cli process rooms",
		"operate":    "cli remote rooms",
		"tlscheck":   "cli remote rooms",
		"confcheck":  "cli process rooms sockets storage",
		"storage":    "cli datafolder",
		"server":     "cli confcheck logging process rooms sockets storage",
		"demo":       "cli confcheck logging server",
	}
}

// wideParts are the parts that may import more rooms than a room may, and why.
func wideParts() map[string]string {
	return map[string]string{
		"demo":      "it tells what every room did",
		"operate":   "it shows what every room answers",
		"server":    "it joins all of them",
		"rooms":     "it has a value for each",
		"confcheck": "what it says is found by the rooms themselves",
		"tlscheck":  "it builds the rooms that deliver",
	}
}

// ends says what of cmd/postern alone may import something: no room does, and no other part.
func ends() map[string][]string {
	return map[string][]string{
		"github.com/alecthomas/kong":                  {"cmd/postern"},
		"github.com/coreos/go-systemd/v22/activation": {"sockets"},
		"github.com/coreos/go-systemd/v22/daemon":     {"server"},
		"postern/internal/queue/sqlstore":             {"datafolder"},
		"postern/internal/queue/storecopy":            {"datafolder"},
		"postern/internal/smtp/smtpserver":            {"rooms", "server"},
		"postern/internal/gateway/dispatch":           {"server"},
		"postern/internal/check/examiner":             {"server", "tlscheck"},
		"postern/internal/operator/web":               {"server"},
		"postern/internal/lab/partner":                {"demo"},
		"postern/internal/lab/pki":                    {"demo"},
		"postern/internal/lab/zone":                   {"demo"},
		"log":                                         nil,
		"testing":                                     nil,
	}
}

func TestThePartsOfTheCommandImportOnlyWhatTheyMay(t *testing.T) {
	const prefix = "postern/cmd/postern/internal/"
	allowed := parts()
	found := importsBelow(t, "cmd/postern")
	for folder, imports := range found {
		name, rooms := strings.TrimPrefix(folder, "internal/"), 0
		line, named := allowed[name]
		if folder == "." {
			name, named = "cmd/postern", true // joins the parts
			line = strings.Join(slices.Collect(maps.Keys(allowed)), " ")
		}
		if !named {
			t.Errorf("cmd/postern/%s is not among the parts: add it to parts() and to ARCHITECTURE.md", folder)
		}
		for _, path := range imports {
			part, isPart := strings.CutPrefix(path, prefix)
			room, isRoom := strings.CutPrefix(path, "postern/internal/")
			switch {
			case isPart && !slices.Contains(strings.Fields(line), part):
				t.Errorf("%s imports %s, and parts() does not allow it", name, part)
			case isRoom && isTestRoom(room):
				t.Errorf("%s imports internal/%s, which is for tests", name, room)
			case isRoom:
				rooms++
			}
			if who, ends := ends()[path]; ends && !slices.Contains(who, name) {
				t.Errorf("%s imports %s, which is for %v alone", name, path, who)
			}
		}
		if why := wideParts()[name]; (rooms > narrow) != (why != "") {
			t.Errorf("%s imports %d rooms, of %d at most; wideParts() says %q of it", name, rooms, narrow, why)
		}
	}
	for name, line := range allowed {
		for _, part := range strings.Fields(line) {
			if !slices.Contains(found["internal/"+name], prefix+part) {
				t.Errorf("%s may import %s, and does not", name, part)
			}
		}
	}
}

// rooms returns the direct imports of every package under internal, tests not included.
func rooms(t *testing.T) map[string][]string { return importsBelow(t, "internal") }

// importsBelow returns the direct imports of every package below a folder, tests not included, by its path from there.
func importsBelow(t *testing.T, folder string) map[string][]string {
	t.Helper()
	found := map[string]map[string]bool{}
	for _, path := range goFiles(t, folder) {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		room, err := filepath.Rel(folder, filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		room = filepath.ToSlash(room)
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

package dispatch_test

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/dispatch"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/operator/admin"
	"postern/internal/policy/certcheck"
	"postern/internal/queue"
)

// The story: everything that mail is judged by changes in random order while mail waits and is sent. An oracle of its
// own, which knows the law of the package inforce and none of its code, says of each MAIL at each peer what had to be
// proven when it was said.

var (
	storySeed  = flag.Uint64("story.seed", 0, "run one story of changes with this seed")
	storySteps = flag.Int("story.steps", 200, "steps of each story of changes")
	storyCount = flag.Int("story.count", 8, "how many stories of changes are told; `make crash` tells fifty, 10,000 steps")
)

func TestEveryByteIsJudgedByWhatIsInForceWhenItIsSaid(t *testing.T) {
	seeds := []uint64{*storySeed}
	if *storySeed == 0 {
		count := *storyCount
		if testing.Short() {
			count = 1
		}
		for seeds = nil; len(seeds) < count; {
			seeds = append(seeds, rand.Uint64())
		}
	}
	transactions := 0
	for _, seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			t.Logf("seed %d", seed)
			c := newChanging(t, seed)
			defer c.w.close()
			for i := range *storySteps {
				if c.step(i); t.Failed() {
					break
				}
			}
			if !t.Failed() {
				c.end()
			}
			transactions += c.checked
		})
		if t.Failed() {
			t.Fatalf("again with: go test ./internal/gateway/dispatch -run JudgedByWhatIsInForce -story.seed %d", seed)
		}
	}
	if len(seeds) > 1 && transactions < len(seeds)**storySteps/20 {
		t.Errorf("only %d transactions in %d steps: the story tells nothing", transactions, len(seeds)**storySteps)
	}
	t.Logf("%d transactions in %d steps", transactions, len(seeds)**storySteps)
}

// wanted is one source's demand, as the oracle sees it.
type wanted struct {
	trust, names, pin string
	floor             uint16
}

// ruled is a rule.
type ruled struct {
	wanted
	name    string
	all     bool // by sender: every recipient; else clinic.test
	test    bool
	expires time.Time
}

func (r *ruled) toml(pins []string) string {
	text := fmt.Sprintf("[[rule]]\nname = %q\naction = 'force-tls'\n", r.name)
	if r.test {
		text += "mode = 'test'\n"
	}
	if !r.expires.IsZero() {
		text += "expires = " + r.expires.UTC().Format("2006-01-02T15:04:05Z") + "\n"
	}
	text += map[bool]string{true: "match.sender = ['example.test']\n", false: "match.recipient = ['clinic.test']\n"}[r.all]
	text += "[rule.force_tls]\ndefer = '72h'\nmx = 'any'\n" + fmt.Sprintf("min_tls = %q\n", map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}[r.floor])
	if r.trust != "public" {
		text += fmt.Sprintf("trust = %q\n", r.trust)
	}
	switch r.names {
	case "hosts":
		text += "names = ['mx.clinic.test', 'mx.shop.test', 'mx2.shop.test']\n"
	case "alt":
		text += "names = ['alt.test']\n"
	}
	switch r.pin {
	case "main":
		text += "pins = ['" + strings.Join(pins, "', '") + "']\n"
	case "bad":
		text += "pins = ['sha256:" + strings.Repeat("ab", 32) + "']\n"
	}
	return text
}

// moment is what is in force.
type moment struct {
	rules    []ruled
	own      bool   // clinic.test is ours
	ownTrust string // "": nothing is demanded on the way there
	routed   bool   // shop.test goes to mx2
	flip     string // who signs in flip.pem
}

// tables is what the tables say of the mail of the story.
func (m *moment) tables() any {
	if !m.own {
		return [2]any{false, m.routed}
	}
	return [3]any{true, m.ownTrust, m.routed}
}

// letter is one message as the oracle knows it.
type letter struct {
	to   []string // domains
	kept map[string]*held
}

// held is what a delivery demands, by source. It was judged at the moment judged. While it is being sent nobody knows
// from outside whether it was judged at the moments that went by: may holds what it demands either way.
type held struct {
	judged *moment
	may    []map[string]wanted
}

// exactly is a delivery that demands this.
func exactly(m *moment, demands map[string]wanted) *held {
	return &held{m, []map[string]wanted{demands}}
}

// leaf is what a certificate proves.
type leaf struct {
	at, ca, name string
	version      uint16
}

type changing struct {
	t       *testing.T
	r       *rand.Rand
	w       *world
	service *admin.Service
	now     *moment
	letters map[string]*letter // by local part of the sender
	byID    map[queue.ID]*letter
	entry   int64           // of the audit trail, the last that was read
	leaves  map[string]leaf // by serial number
	pins    []string
	certs   map[string]map[string]tls.Certificate
	servers map[string]*partner.Partner
	seen    map[string]int // MAIL commands of each that were checked
	said    []string       // what was done
	checked int
}

func newChanging(t *testing.T, seed uint64) *changing {
	c := &changing{t: t, r: rand.New(rand.NewPCG(seed, 7)), letters: map[string]*letter{}, byID: map[queue.ID]*letter{}, leaves: map[string]leaf{}, seen: map[string]int{},
		certs: map[string]map[string]tls.Certificate{}}
	c.w = newWorld(t, func(d *dispatch.Config) { d.Batch, d.Linger = 3, 5*time.Second })
	c.w.zone(zoneText + "mx2.shop.test. A 192.0.2.21\n")
	c.servers = map[string]*partner.Partner{"clinic": c.w.clinic, "shop": c.w.shop, "mx2": c.w.partner("mx2.shop.test", "192.0.2.21:25"),
		"inner": c.w.partner("mail.clinic.internal", "192.0.2.77:25")}
	t.Cleanup(func() { c.servers["mx2"].Close(); c.servers["inner"].Close() })
	for at, host := range map[string]string{"clinic": "mx.clinic.test", "shop": "mx.shop.test", "mx2": "mx2.shop.test", "inner": "clinic.test"} {
		c.certs[at] = map[string]tls.Certificate{}
		for kind, issued := range map[string]*pki.Certificate{"main": c.w.ca.Issue(pki.Options{Names: []string{host}}),
			"other": c.w.other.Issue(pki.Options{Names: []string{host}}), "alt": c.w.ca.Issue(pki.Options{Names: []string{"alt.test"}})} {
			c.certs[at][kind] = issued.TLS
			if kind == "main" {
				c.pins = append(c.pins, "sha256:"+certcheck.Facts(issued.Leaf).SPKI)
			}
		}
	}
	for at := range c.servers {
		c.behave(at, true)
	}
	c.service = admin.New(admin.Config{Store: c.w.store, Ledger: c.w.store, Rules: c.w.keeper, Dispatcher: told{c.w}})
	c.now = &moment{flip: "main"}
	c.flip()
	c.w.start()
	synctest.Wait()
	return c
}

// told is the dispatcher of the moment; there is another after a restart.
type told struct{ w *world }

func (d told) Kick(ctx context.Context, sites ...queue.SiteKey) { d.w.d.Kick(ctx, sites...) }
func (d told) Changed()                                         { d.w.d.Changed() }
func (d told) Wished()                                          { d.w.d.Wished() }
func (d told) Return(ctx context.Context, ids []queue.DeliveryID) (int, error) {
	return d.w.d.Return(ctx, ids)
}

// behave changes a server: its certificate, its TLS, how long it takes; sound makes it good and quick.
func (c *changing) behave(at string, sound bool) {
	kind, version := "main", []uint16{tls.VersionTLS12, tls.VersionTLS13}[c.r.IntN(2)]
	b := partner.Behaviour{}
	pause := time.Duration(0)
	if !sound {
		kind = []string{"main", "main", "other", "alt"}[c.r.IntN(4)]
		b.Fault = []partner.Fault{partner.Sound, partner.Sound, partner.Sound, partner.NoTLS, partner.Busy, partner.RefusesTLS}[c.r.IntN(6)]
		pause = []time.Duration{0, 0, 3 * time.Second, time.Minute}[c.r.IntN(4)]
	}
	cert := c.certs[at][kind]
	serial := cert.Leaf.SerialNumber.String()
	b.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version}
	name := map[string]string{"clinic": "mx.clinic.test", "shop": "mx.shop.test", "mx2": "mx2.shop.test", "inner": "clinic.test"}[at]
	ca := "main"
	if kind == "alt" {
		name = "alt.test"
	}
	if kind == "other" {
		ca = "other"
	}
	p := c.servers[at]
	b.Before = func(verb string) {
		if verb == "MAIL" {
			c.hear(at, p, version)
		}
		time.Sleep(pause)
	}
	c.w.mu.Lock() // hear reads it
	c.leaves[serial] = leaf{at, ca, name, 0}
	c.w.mu.Unlock()
	p.Set(b)
}

// hear checks what a server was told, at the moment it was told. Sessions of one server may hear at once.
func (c *changing) hear(at string, p *partner.Partner, version uint16) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.audit()
	n := 0
	for _, command := range p.Commands() {
		if command.Verb != "MAIL" {
			continue
		}
		if n++; n <= c.seen[at] {
			continue
		}
		c.seen[at] = n
		local, _, _ := strings.Cut(strings.TrimPrefix(command.Line, "MAIL FROM:<"), "@")
		if l := c.letters[local]; l != nil {
			c.checked++
			c.check(at, local, l, &command, version)
		}
	}
}

// check holds a MAIL against what its message demands. Which of the recipients it is for follows from the server.
func (c *changing) check(at, local string, l *letter, command *partner.Command, version uint16) {
	to := map[string]string{"clinic": "clinic.test", "inner": "clinic.test", "shop": "shop.test", "mx2": "shop.test"}[at]
	wants := map[string]string{"clinic.test": map[bool]string{true: "inner", false: "clinic"}[c.now.own],
		"shop.test": map[bool]string{true: "mx2", false: "shop"}[c.now.routed]}[to]
	if at != wants {
		c.fault("%s went to %s, and %s is where it goes", local, at, wants)
	}
	c.judge(l, to, false)
	if h := l.kept[to]; !slices.ContainsFunc(h.may, func(demands map[string]wanted) bool { return c.met(command, version, demands) }) {
		c.fault("%s went to %s over TLS %v, %+v with version %x, and demands %+v", local, at, command.TLS, c.leaves[command.Leaf], version, h.may)
	}
}

// met reports whether a connection proves what is demanded.
func (c *changing) met(command *partner.Command, version uint16, demands map[string]wanted) bool {
	shown := c.leaves[command.Leaf]
	for _, d := range demands {
		signer := map[string]string{"public": "main", "right.pem": "main", "wrong.pem": "other", "flip.pem": c.now.flip}[d.trust]
		if !command.TLS || shown.ca != signer || (d.names == "alt") != (shown.name == "alt.test") || d.pin == "bad" ||
			d.pin == "main" && (shown.ca != "main" || shown.name == "alt.test") || version < d.floor {
			return false
		}
	}
	return true
}

func (c *changing) fault(format string, args ...any) {
	c.t.Errorf(format+"\nafter\n%s", append(args, strings.Join(c.said[max(0, len(c.said)-25):], "\n"))...)
}

// present is what is demanded at this moment of a letter's delivery to a domain.
func (c *changing) present(l *letter, to string) map[string]wanted {
	out := map[string]wanted{}
	if c.now.own && to == "clinic.test" {
		if c.now.ownTrust != "" {
			out["own"] = wanted{trust: c.now.ownTrust, names: "hosts", floor: tls.VersionTLS12}
		}
		return out
	}
	named := slices.Contains(l.to, "clinic.test") && !c.now.own
	for _, r := range c.now.rules {
		if !r.test && (r.all || named) && (r.expires.IsZero() || time.Now().Before(r.expires)) {
			out[r.name] = r.wanted
		}
	}
	return out
}

// judge holds a delivery against this moment, if it was not yet. Where nobody knows whether it was, both may be.
func (c *changing) judge(l *letter, to string, unknown bool) {
	h := l.kept[to]
	if h.judged == c.now {
		return
	}
	may := h.may
	if h.may = nil; unknown {
		h.may = may
	} else {
		h.judged = c.now
	}
	for _, demands := range may {
		if next := renewed(demands, c.present(l, to)); !slices.ContainsFunc(h.may, func(m map[string]wanted) bool { return maps.Equal(m, next) }) {
			h.may = append(h.may, next)
		}
	}
}

// renewed is what a delivery that kept its demands comes to, where these are demanded now.
func renewed(kept, now map[string]wanted) map[string]wanted {
	out := maps.Clone(now)
	for source, k := range kept {
		n, still := now[source]
		if still {
			n.floor = max(n.floor, k.floor)
			if n.pin == "" {
				n.pin = k.pin
			}
			if n.names == "mx" {
				n.names = k.names
			}
			out[source] = n
		} else if !implied(k, now) {
			out[source] = k
		}
	}
	return out
}

func implied(k wanted, now map[string]wanted) bool {
	same, floor := false, uint16(0)
	for _, n := range now {
		same = same || n.trust == k.trust && n.names == k.names && n.pin == k.pin
		floor = max(floor, n.floor)
	}
	return same && floor >= k.floor
}

// audit gives letters what an administrator has said: what is in force, or of a lowered one what no rule demands. It
// reads in the audit trail which they are, for that is written first.
func (c *changing) audit() {
	list, err := c.w.store.Entries(context.Background(), 0, 1000)
	if err != nil {
		c.t.Fatal(err)
	}
	slices.Reverse(list)
	for _, e := range list {
		if e.ID <= c.entry || e.Action == "rules apply" {
			continue
		}
		c.entry = e.ID
		for _, line := range strings.Split(e.After, "\n") {
			words := strings.Fields(line)
			l, to := c.byID[queue.ID(words[0])], words[2][strings.IndexByte(words[2], '@')+1:]
			if l == nil {
				continue // a notice
			}
			out := c.present(l, to)
			if e.Action == "queue release --lower" {
				maps.DeleteFunc(out, func(source string, _ wanted) bool { return source != "own" })
			}
			l.kept[to] = exactly(c.now, out)
		}
	}
}

// wait judges what waits, which nobody touches at this moment. What is being sent was judged, or was not.
func (c *changing) wait() {
	now, err := c.w.store.Judgement(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	for rec, err := range c.w.store.List(context.Background(), queue.Filter{States: []queue.State{queue.Queued, queue.Held, queue.Sending}}) {
		if err != nil {
			c.t.Fatal(err)
		}
		if l := c.letters[rec.Message.Envelope.From.Local]; l != nil {
			judged := rec.State != queue.Sending && rec.JudgedUnder(&rec.Message) == now.Number
			c.judge(l, rec.Recipient.Address.Domain.String(), !judged)
		}
	}
}

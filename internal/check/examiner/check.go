package examiner

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/check"
	"postern/internal/dns"
	"postern/internal/gateway/deliver"
	"postern/internal/gateway/route"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
)

// Config is what a Checker needs: the very configuration of the gateway's own rooms.
type Config struct {
	// Route finds the hosts. Its Resolver must be set.
	Route route.Config
	// Deliver opens connections. Its Budget bounds each question about each address, and about each target. Without a
	// Book the names of mail hosts are judged as at a first delivery.
	Deliver deliver.Config
	// Excepted says what an administrator set aside of what a domain publishes, as rules.Set.Excepted does; nil is
	// nothing.
	Excepted func(d mail.Domain) map[string]string
	// Forced is what the question ForceTLS demands; the zero value is an authenticated channel with public trust.
	Forced policy.Requirement
	// Extra questions are asked besides the two that always are.
	Extra []check.Question
	// Trials asks for a handshake with each version, group and kind of certificate.
	Trials bool
	// Jobs is how many targets are checked at a time; 0 means 8.
	Jobs int
	// Pause is the least time between two examinations of one address; 0 means a second. The loopback needs none.
	Pause time.Duration
}

// Checker checks targets. It is safe for concurrent use.
type Checker struct {
	cfg       Config
	table     *route.Table
	deliverer *deliver.Deliverer
	manners   manners
	sites     atomic.Uint64
}

// New checks cfg and returns a Checker.
func New(cfg Config) (*Checker, error) {
	if cfg.Jobs <= 0 {
		cfg.Jobs = 8
	}
	if cfg.Pause <= 0 {
		cfg.Pause = time.Second
	}
	if !cfg.Forced.Forced() {
		cfg.Forced = policy.Combine(policy.Requirement{Channel: policy.Authenticated})
	}
	cfg.Route.Resolver = noting{cfg.Route.Resolver}
	if cfg.Deliver.Book == nil {
		cfg.Deliver.Book = nothingKnown{}
	}
	cfg.Deliver.Sessions = 1 // none is resumed: each question has a site of its own
	table, err := route.New(cfg.Route)
	if err != nil {
		return nil, err
	}
	return &Checker{cfg: cfg, table: table, deliverer: deliver.New(cfg.Deliver), manners: manners{pause: cfg.Pause}},
		nil
}

// nothingKnown is a book in which nothing is remembered yet.
type nothingKnown struct{}

// Pins returns none.
func (nothingKnown) Pins(context.Context, string) ([]mxpins.Pin, error) { return nil, nil }

// Check examines one target. When ctx ends early the report says what was found until then, and is not to be trusted.
func (c *Checker) Check(ctx context.Context, t check.Target) *check.Report {
	return c.Watch(ctx, t, nil, nil)
}

// Watch is Check with more questions, which tells what it finds as it finds it. tell is called from several goroutines,
// one at a time; nil tells nobody.
func (c *Checker) Watch(ctx context.Context, t check.Target, more []check.Question,
	tell func(check.Progress)) *check.Report {
	start := time.Now()
	told := teller{tell: tell, start: start}
	r := &check.Report{Kind: "target", Target: t.Text, Domain: t.Domain.String(), At: start.UTC()}
	heard := &answers{}
	plan, problem := c.plan(heard.listen(ctx), t)
	r.DNS = heard.report()
	questions := append(c.questions(t), more...)
	told.plan(plan, problem, r.DNS)
	r.Named = r.Domain != "" && (plan != nil && plan.ByAdmin || problem != nil && problem.ByAdmin)
	if problem != nil {
		for _, q := range questions {
			r.Verdicts = append(r.Verdicts, planless(q, problem))
		}
		for i := range problem.Hops {
			host := hostOf(&problem.Hops[i], heard)
			host.Published = published(&problem.Hops[i], nil, r.At)
			r.Hosts = append(r.Hosts, host)
		}
	} else {
		probes := c.examine(ctx, r, plan, questions, heard, &told)
		r.Findings = findings(r, probes, start)
	}
	r.TookMS = time.Since(start).Milliseconds()
	return r
}

// plan finds the way to a target as a delivery does. A host that was named needs no MX, and denied networks do not
// concern it.
func (c *Checker) plan(ctx context.Context, t check.Target) (*route.Plan, *route.Problem) {
	if !t.Domain.IsZero() {
		table := c.table
		if c.cfg.Excepted != nil {
			table = table.Except(t.Domain, c.cfg.Excepted(t.Domain), time.Time{})
		}
		return table.Plan(ctx, t.Domain)
	}
	cfg := c.cfg.Route
	host := route.HostPort{Host: t.Host, IP: t.IP, Port: t.Port}
	cfg.Own, cfg.Routes, cfg.LocalAddrs = nil, []route.Route{{Match: []string{"*"}, To: []route.HostPort{host}}}, nil
	table, err := route.New(cfg)
	if err != nil {
		return nil, &route.Problem{Reason: policy.DNSNoAddress, Text: err.Error(), Permanent: true, Signed: true}
	}
	return table.Plan(ctx, hostDomain(t))
}

// hostDomain is the domain that stands for a named host.
func hostDomain(t check.Target) mail.Domain {
	if !t.IP.IsValid() {
		return t.Host
	}
	text := "[" + t.IP.String() + "]"
	if t.IP.Is6() {
		text = "[IPv6:" + t.IP.String() + "]"
	}
	d, err := mail.ParseDomain(text)
	if err != nil { // an address with a zone
		return mail.MustDomain("localhost")
	}
	return d
}

// questions lists what is asked about a target. A domain we serve has demands of its own, which ordinary mail to it
// meets.
func (c *Checker) questions(t check.Target) []check.Question {
	own, _ := c.table.Own(t.Domain)
	ordinary := own.Requirement()
	forced := c.cfg.Forced
	if len(ordinary.Peer) > 0 {
		forced = policy.Combine(ordinary.Raised(policy.Authenticated))
	}
	always := []check.Question{{Name: check.Opportunistic, Requirement: ordinary},
		{Name: check.ForceTLS, Requirement: forced}}
	return append(always, c.cfg.Extra...)
}

// side is how many addresses of one target are examined at a time.
const side = 4

// examine fills in hosts and verdicts. It returns the probes of each address, in the order of Report.Each.
func (c *Checker) examine(
	ctx context.Context, r *check.Report, plan *route.Plan, questions []check.Question, heard *answers, told *teller,
) [][]probed {
	n := 0
	for i := range plan.Hops {
		n += len(plan.Hops[i].Addrs)
	}
	probes := make([][]probed, n)
	rest := probes
	slots := make(chan struct{}, side)
	var wg sync.WaitGroup
	r.Hosts = make([]check.Host, len(plan.Hops))
	for i := range plan.Hops {
		hop, host := &plan.Hops[i], &r.Hosts[i]
		*host = hostOf(hop, heard)
		host.Addresses = make([]check.Address, len(hop.Addrs))
		for j, ip := range hop.Addrs {
			slots <- struct{}{}
			its := &rest[0]
			rest = rest[1:]
			wg.Go(func() {
				host.Addresses[j], *its = c.address(ctx, only(plan, hop, ip), questions, told)
				<-slots
			})
		}
	}
	wg.Wait()
	for i := range plan.Hops {
		r.Hosts[i].Published = published(&plan.Hops[i], r.Hosts[i].Addresses, r.At)
	}
	r.Verdicts = c.whole(ctx, r, plan, questions)
	return probes
}

// only is plan with nothing but one address in it.
func only(plan *route.Plan, hop *route.Hop, ip netip.Addr) *route.Plan {
	one := *hop
	one.Addrs = []netip.Addr{ip}
	p := *plan
	p.Hops = []route.Hop{one}
	return &p
}

// whole answers the questions about the whole plan, which with a single address is that address.
func (c *Checker) whole(ctx context.Context, r *check.Report, plan *route.Plan,
	questions []check.Question) []check.Verdict {
	if len(plan.Hops) == 1 && len(plan.Hops[0].Addrs) == 1 {
		return slices.Clone(r.Hosts[0].Addresses[0].Verdicts)
	}
	var all []netip.Addr
	for _, hop := range plan.Hops {
		all = append(all, hop.Addrs...)
	}
	defer c.manners.enter(ctx, all...)()
	return c.judgeAll(ctx, questions, plan)
}

// address examines one address, named by a plan with nothing else in it. It returns the probes that were made because
// no handshake completed, too.
func (c *Checker) address(
	ctx context.Context, plan *route.Plan, questions []check.Question, told *teller,
) (a check.Address, probes []probed) {
	hop := &plan.Hops[0]
	a.IP = hop.Addrs[0]
	defer c.manners.enter(ctx, a.IP)()
	told.begins(hop, a.IP)
	a.Verdicts = c.judgeAll(ctx, questions, plan)
	told.judged(hop, &a)
	if !a.Verdicts[0].Answered {
		return a, nil
	}
	demands := questions[len(questions)-1].Requirement.Demands()
	v := viewer{c, plan, hop, a.IP, policy.Requirement{Peer: demands}}
	a.Look = v.look(ctx, rungOf(&a.Verdicts[0]))
	told.looked(hop, &a)
	if a.Look.TLS != nil {
		a.Early = v.early(ctx, a.Look.Rung)
	}
	if c.cfg.Trials && a.Look.StartTLS {
		a.Trials = v.trials(ctx)
		note(&a, v.rows(ctx))
	}
	if broke(&a) {
		probes = v.diagnose(ctx)
		note(&a, probes)
	}
	return a, probes
}

// broke reports whether every handshake failed in a way that an offer of other things may explain.
func broke(a *check.Address) bool {
	if !a.Look.StartTLS || a.Look.TLS != nil || a.Look.Remote != "" { // words instead of TLS say enough
		return false
	}
	switch a.Look.Reason {
	case policy.TLSHandshake, policy.TLSAlert, policy.TLSVersion, policy.TLSNoSharedCipher, policy.TLSClosed:
		return true
	}
	return false
}

// note adds probes to the trials, one of each name.
func note(a *check.Address, probes []probed) {
	for i := range probes {
		known := func(t check.Trial) bool { return t.Name == probes[i].name }
		if !slices.ContainsFunc(a.Trials, known) {
			a.Trials = append(a.Trials, probes[i].trial())
		}
	}
}

// site is a name that no other question has, so that no TLS session is resumed and every certificate is seen.
func (c *Checker) site() string { return "check " + strconv.FormatUint(c.sites.Add(1), 10) }

var _ dns.Resolver = noting{}

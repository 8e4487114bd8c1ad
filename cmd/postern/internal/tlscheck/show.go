package tlscheck

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/internal/check"
	"postern/internal/policy"
)

// checkView prints reports as they come, and keeps what the end needs: counts, and what all have in common.
type checkView struct {
	a     *cli.App
	cmd   *CheckCmd
	setup *checkSetup
	waker *waker
	tally check.Tally
	rows  *cli.Table // of --brief
	shown int
	short int // targets that fell short of a question that decides
	// reached counts targets by what ordinary mail would reach, reasons those that forced mail would not go to.
	reached, reasons map[string]int
	bar              progress
	told             map[string]bool // suspicions
	summed           bool
}

func (c *CheckCmd) view(a *cli.App, s *checkSetup) *checkView {
	v := &checkView{a: a, cmd: c, setup: s, waker: c.newWaker(a, s), reached: map[string]int{},
		reasons: map[string]int{}, bar: newProgress(a), told: map[string]bool{}}
	if c.Brief {
		v.rows = a.NewTable(cli.Col("TARGET", 32), cli.Col("ORDINARY MAIL", 16), cli.Col("FORCE TLS", 0))
	}
	v.bar.draw(0)
	return v
}

// count takes a report into the sums.
func (v *checkView) count(r *check.Report) {
	v.shown++
	v.tally.Add(r)
	ordinary, forced := r.Find(check.Opportunistic), r.Find(check.ForceTLS)
	v.reached[cmp.Or(ordinary.Reached, "not delivered")]++
	if !forced.Passes() {
		v.reasons[string(forced.Reason)]++
	}
	if slices.ContainsFunc(v.setup.deciding, func(q string) bool { return !r.Find(q).Passes() }) {
		v.short++
	}
}

// show prints one report.
func (v *checkView) show(r *check.Report) error {
	v.count(r)
	v.waker.tell(v.a.Ctx, r)
	v.bar.clear()
	defer func() { v.bar.draw(v.shown) }()
	switch {
	case v.cmd.JSON:
		return v.a.Object(r)
	case v.cmd.Letter:
		v.letter(r)
	case v.cmd.Brief:
		v.rows.Row(r.Target, briefly(r.Find(check.Opportunistic)), briefly(decisive(r, v.setup.deciding)))
	default:
		if v.shown > 1 {
			fmt.Fprintln(v.a.Stdout)
		}
		v.report(r)
	}
	return nil
}

// decisive is the verdict that matters most: the last one asked for on the command line, else that of Force TLS.
func decisive(r *check.Report, deciding []string) *check.Verdict {
	if n := len(deciding); n > 0 && deciding[n-1] != check.Opportunistic {
		return r.Find(deciding[n-1])
	}
	return r.Find(check.ForceTLS)
}

func (v *checkView) letter(r *check.Report) {
	text := check.Letter(r, v.setup.cfg.Delivery.Helo.String())
	if text == "" {
		fmt.Fprintf(v.a.Stderr, "%s: nothing to write about\n", r.Target)
		return
	}
	if v.shown > 1 {
		fmt.Fprint(v.a.Stdout, "\n")
	}
	fmt.Fprint(v.a.Stdout, text)
}

// briefly is a verdict in a word or two.
func briefly(d *check.Verdict) string {
	switch {
	case d.Passes() && d.Question == check.Opportunistic:
		return d.Reached
	case d.Passes():
		return "yes"
	}
	return "no: " + string(d.Reason)
}

// report prints everything about a target, the verdicts in the first lines.
func (v *checkView) report(r *check.Report) {
	a := v.a
	fmt.Fprintln(a.Stdout, r.Target)
	order := []*check.Verdict{}
	for i := len(r.Verdicts) - 1; i >= 2; i-- {
		order = append(order, &r.Verdicts[i])
	}
	for _, d := range append(order, &r.Verdicts[0], &r.Verdicts[1]) {
		fmt.Fprintln(a.Stdout, v.line(d))
	}
	main := decisive(r, v.setup.deciding)
	if main.Passes() && r.Verdicts[0].Reason != "" {
		main = &r.Verdicts[0]
	}
	if main.Reason != "" || len(r.Findings) > 0 {
		fmt.Fprintln(a.Stdout)
	}
	if main.Reason != "" {
		a.Detail("  ", "Why", main.Text)
		for _, s := range main.Shortfalls[min(1, len(main.Shortfalls)):] {
			a.Detail("  ", "Also", string(s.Reason)+": "+s.Text)
		}
		a.Detail("  ", "Who must act", actor(main.Who))
		a.Detail("  ", "What to do", main.Hint)
	}
	for _, f := range r.Findings {
		text := f.Text
		if f.IP.IsValid() {
			text = f.IP.String() + ": " + text
		}
		a.Detail("  ", strings.ToUpper(string(f.Severity[:1]))+string(f.Severity[1:]), text)
	}
	v.dns(r)
	for i := range r.Hosts {
		v.host(&r.Hosts[i])
	}
	fmt.Fprintln(a.Stdout)
	a.Detail("  ", "Checked", r.At.Local().Format("2006-01-02 15:04:05 MST")+" in "+milli(float64(r.TookMS)))
}

// line is a verdict on one line. The sign says the same as its colour.
func (v *checkView) line(d *check.Verdict) string {
	label := map[string]string{check.Opportunistic: "ordinary mail", check.ForceTLS: "Force TLS"}[d.Question]
	sign, said := "✓", "goes, "+d.Reached
	if d.TLS != nil && d.Passes() {
		said += " (" + d.TLS.Version + ")"
	}
	switch {
	case d.Passes() && d.Reason != "" && d.Question == check.Opportunistic:
		said += "; not more: " + string(d.Reason)
	case d.Outcome == check.Deferred:
		sign, said = "✗", "waits: "+string(d.Reason)+who(d.Who)
	case d.Outcome == check.Failed:
		sign, said = "✗", "is returned at once: "+string(d.Reason)+who(d.Who)
	}
	if v.a.Colour() {
		sign = map[string]string{"✓": "\x1b[32m", "✗": "\x1b[31m"}[sign] + sign + "\x1b[0m"
	}
	return "  " + sign + " " + fmt.Sprintf("%-15s ", cli.Fit(cmp.Or(label, d.Question), 24)) + said
}

func who(w policy.Who) string {
	return map[policy.Who]string{policy.Us: "; we must act", policy.Them: "; they must act",
		policy.Network: "; look at the network"}[w]
}

func (v *checkView) dns(r *check.Report) {
	if r.DNS == nil {
		return
	}
	var said []string
	for _, mx := range r.DNS.MX {
		said = append(said, fmt.Sprintf("MX %d %s", mx.Pref, mx.Host))
	}
	switch {
	case len(said) > 0 || r.Domain == "" || len(r.Hosts) == 0:
	case r.Named:
		said = append(said, "the hosts are named in the configuration")
	default:
		said = append(said, "no MX record: the domain itself is asked")
	}
	if len(r.DNS.MX) > 0 {
		said = append(said, signedText(r.DNS.Signed))
	}
	fmt.Fprintln(v.a.Stdout)
	v.a.Detail("  ", "DNS", strings.Join(append(said, milli(r.DNS.TookMS)), ", "))
}

func signedText(yes bool) string {
	if yes {
		return "signed (DNSSEC)"
	}
	return "not proven by DNSSEC"
}

func (v *checkView) host(h *check.Host) {
	name := h.Name
	if h.Reason != "" {
		fmt.Fprintln(v.a.Stdout)
		v.a.Detail("  ", cmp.Or(name, "host"), string(h.Reason)+": "+h.Text)
	}
	v.published(h)
	for i := range h.Addresses {
		v.address(h, &h.Addresses[i])
	}
}

func (v *checkView) address(h *check.Host, ad *check.Address) {
	a := v.a
	fmt.Fprintf(a.Stdout, "\n  %s\n", strings.TrimSpace(h.Name+" ["+ad.IP.String()+"] port "+strconv.Itoa(int(h.Port))))
	for i := range ad.Verdicts {
		d := &ad.Verdicts[i]
		if said := briefly(d); i == 0 || !d.Passes() {
			a.Detail("    ", map[bool]string{true: "Ordinary mail",
				false: cmp.Or(map[string]string{check.ForceTLS: "Force TLS"}[d.Question], d.Question)}[i == 0], said)
		}
	}
	v.words(ad)
	l := ad.Look
	if l == nil {
		return
	}
	a.Detail("    ", "Greeting", l.Greeting)
	a.Detail("    ", "EHLO offers", strings.Join(l.Offered, ", "))
	if l.TLS != nil {
		a.Detail("    ", "TLS", strings.TrimSpace(fmt.Sprintf("%s %s (%d bits) %s", l.TLS.Version, l.TLS.Cipher,
			l.TLS.Bits, l.TLS.Group)))
		a.Detail("    ", "Inside TLS", strings.Join(l.Inside, ", "))
		a.Detail("    ", "REQUIRETLS", map[bool]string{true: "offered: mail whose sender demands it goes here",
			false: "not offered: mail whose sender demands it is not sent here"}[l.RequireTLS()])
	}
	if l.Asked {
		a.Detail("    ", "Asks for", "a client certificate")
	}
	a.Detail("    ", "Name expected", strings.Join(l.Expected, ", "))
	for i, c := range l.Chain {
		v.certificate(i, &c)
	}
	for i := range ad.Verdicts {
		if rev := ad.Verdicts[i].Revocation; rev != nil && i == len(ad.Verdicts)-1 {
			a.Detail("    ", "Revocation", revocationText(rev))
		}
	}
	a.Detail("    ", "Early bytes", map[check.Early]string{check.EarlyAccepted: "ACCEPTED, which is a fault (see " +
		"above)", check.EarlyDiscarded: "discarded, as they should be",
		check.EarlyRefused: "refused, as they should be", check.EarlyUnknown: "could not be tested"}[ad.Early])
	v.trials(ad.Trials)
	var steps []string
	for _, s := range l.Steps {
		steps = append(steps, strings.ReplaceAll(s.Name, "-", " ")+" "+milli(s.TookMS))
	}
	a.Detail("    ", "Times", strings.Join(steps, ", "))
}

// words prints what a peer said that went wrong, once each.
func (v *checkView) words(ad *check.Address) {
	seen := map[string]bool{}
	for i := range ad.Verdicts {
		for _, t := range ad.Verdicts[i].Tries {
			said := string(t.Rung) + ": " + string(t.Reason) + ": " + t.Text
			if t.Remote != "" {
				said += " | it wrote: " + t.Remote
			}
			if t.Alert != "" {
				said += " | alert " + t.Alert
			}
			if t.Reason != "" && !seen[said] {
				seen[said] = true
				v.a.Detail("    ", "Tried", said)
			}
		}
	}
}

func (v *checkView) certificate(i int, c *policy.Certificate) {
	label := "Certificate"
	if i > 0 {
		label = "Sent with it"
	}
	certificate(v.a, "    ", label, c)
}

func revocationText(r *check.Revocation) string {
	said := r.Status
	if r.Source != "" {
		said += ", by " + r.Source
	}
	if !r.AsOf.IsZero() {
		said += " of " + r.AsOf.Format(time.RFC3339)
	}
	if r.Detail != "" {
		said += ": " + r.Detail
	}
	return said
}

func (v *checkView) trials(list []check.Trial) {
	for _, t := range list {
		said := "works"
		switch {
		case !t.Works:
			said = "no: " + cmp.Or(string(t.Reason), t.Text)
			if t.Alert != "" {
				said += ", alert " + t.Alert
			}
		case t.TLS != nil:
			said = strings.Join(strings.Fields("yes: "+t.TLS.Version+" "+t.TLS.Cipher+" "+t.TLS.Group), " ")
			switch {
			case t.Probe:
				said += " (answered; the handshake was not finished)"
			case strings.HasSuffix(t.Name, " certificate") && t.Reason != "":
				said += ", but " + string(t.Reason)
			}
		}
		v.a.DetailAt("    ", t.Name, 22, said)
	}
}

// changes prints what is different from the check before.
func (v *checkView) changes(r *check.Report, list []check.Change) error {
	v.bar.clear()
	defer v.bar.draw(v.shown)
	for _, c := range list {
		c.Target, c.At = r.Target, r.At
		if v.cmd.JSON {
			if err := v.a.Object(c); err != nil {
				return err
			}
			continue
		}
		v.a.DetailAt("", r.At.Local().Format("01-02 15:04:05")+" "+r.Target, 32,
			c.What+": "+cmp.Or(c.Before, "not there")+" -> "+cmp.Or(c.After, "gone"))
	}
	return nil
}

// end prints what all targets have in common, and the sums.
func (v *checkView) end() {
	v.bar.clear()
	v.tally.Unvalidated = !v.setup.resolver.Validates()
	for _, s := range append(v.tally.Suspicions(), v.setup.ownFaults...) {
		if !v.told[s.Code] {
			v.told[s.Code] = true
			v.suspicion(&s)
		}
	}
	if v.cmd.JSON || v.cmd.Letter || v.shown < 2 || v.summed {
		return
	}
	v.summed = true
	var said []string
	for _, level := range []string{"authenticated", "encrypted", "plaintext", "not delivered"} {
		if n := v.reached[level]; n > 0 {
			said = append(said, strconv.Itoa(n)+" "+level)
		}
	}
	fmt.Fprintln(v.a.Stdout)
	v.a.Detail("", cli.Plural(v.shown, "target"), "ordinary mail: "+strings.Join(said, ", "))
	v.a.Detail("", "", "forced mail: "+strings.Join(v.forcedSum(), ", "))
}

// suspicion tells what is probably wrong on our side; beside letters it is nobody else's business.
func (v *checkView) suspicion(s *check.Suspicion) {
	if v.cmd.JSON {
		_ = v.a.Object(s) // standard output that is gone is told by its signal
		return
	}
	head := "PROBABLY OUR OWN FAULT: "
	if !s.Sure {
		head = "PERHAPS OUR OWN FAULT: "
	}
	out := *v.a
	if v.cmd.Letter {
		out.Stdout = v.a.Stderr
	}
	fmt.Fprintln(out.Stdout)
	out.DetailAt("", "!", 2, head+s.Text+". "+s.Hint)
}

// again begins another round of --watch.
func (v *checkView) again() {
	v.tally, v.shown, v.short = check.Tally{}, 0, 0
}

func (v *checkView) forcedSum() []string {
	bad, reasons := 0, []string{}
	for reason, n := range v.reasons {
		bad += n
		reasons = append(reasons, fmt.Sprintf("%d %s", n, reason))
	}
	slices.Sort(reasons)
	return append([]string{strconv.Itoa(v.shown-bad) + " would get it"}, reasons...)
}

// milli is a time in milliseconds for people.
func milli(ms float64) string {
	if ms >= 1000 {
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
	}
	return strconv.FormatFloat(ms, 'f', -1, 64) + " ms"
}

// progress is a line on a terminal that says how far it is; elsewhere it is nothing.
type progress struct {
	a    *cli.App
	live bool
}

func newProgress(a *cli.App) progress { return progress{a, cli.OnTerminal(a.Stderr)} }

func (p progress) draw(done int) {
	if p.live {
		fmt.Fprintf(p.a.Stderr, "\r\x1b[K%d checked", done)
	}
}

func (p progress) clear() {
	if p.live {
		fmt.Fprint(p.a.Stderr, "\r\x1b[K")
	}
}

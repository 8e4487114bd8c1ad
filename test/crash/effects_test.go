package crash

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// What rules do with mail, under levels b and c: each thing is done once, whatever moment the gateway ends at.

// served is a world in which rules do something with each recipient:
//
//	a@taken.test   gets a field above the header, and archive@copies.test a copy of the message
//	d@sealed.test  forced; his sender gets a receipt
//	n@bare.test    forced; his server has no TLS, so that he is reached at the portal, with a receipt
//	e@late.test    the same after two seconds: his server never proves itself
//	r@turned.test  redirected to the portal
//	h@held.test    in quarantine
//	j@never.test   rejected: his sender gets a report
//
// The trap, which takes everything in plaintext, is a mail host of all whose mail is forced, copies included.
type served struct{ *world }

func servedTown(t *testing.T) *served {
	w := &served{newWorld(t)}
	w.Settings["delivery.connections_per_site"] = fmt.Sprint(connections)
	for _, domain := range []string{"taken.test", "copies.test", "sealed.test", "turned.test", "held.test", "never.test"} {
		w.Domain(domain, w.Good("mx."+domain))
	}
	w.Domain("late.test", w.Expired("mx.late.test"))
	w.Partner("trap.test", partner.Behaviour{})
	w.Partner("portal.test", w.Good("portal.test"))
	w.Record("!bare.test MX 10 trap.test", "!late.test MX 20 trap.test", "!sealed.test MX 20 trap.test",
		"!copies.test MX 20 trap.test")
	w.More = append(w.More, fmt.Sprintf("[[route]]\nname = \"portal\"\nto = [\"portal.test:%d\"]\n", w.Port))
	return w
}

// archive is who gets a copy of each message.
const archive = "archive@copies.test"

func servedRules() string {
	does := func(name, action, recipient, section, settings string) string {
		text := fmt.Sprintf("[[rule]]\nname = %q\naction = %q\n[rule.match]\nrecipient = [%q]\n", name, action, recipient)
		return text + "[rule." + section + "]\n" + settings + "\n"
	}
	forced := func(name, domain string, keys ...string) string {
		rule := harness.Force(name, fmt.Sprintf("%q", domain), append(keys, ticked, `mx = "any"`)...)
		return strings.Replace(rule, "action = ", "receipt = \"sender\"\naction = ", 1)
	}
	const otherwise = `otherwise = ["route:portal", "bounce"]`
	return does("copied", "bcc", "taken.test", "bcc", `to = ["`+archive+`"]`) +
		does("marked", "add-header", "taken.test", "add_header", `fields = [{ name = "X-Marked", value = "yes" }]`) +
		does("turned", "redirect", "turned.test", "redirect", `route = "portal"`) +
		does("held", "hold", "held.test", "hold", `days = 7`) +
		does("never", "reject", "never.test", "reject", `text = "not there"`) +
		forced("sealed", "sealed.test", `defer = "60s"`) +
		forced("bare", "bare.test", `without_tls = "reject"`, otherwise, `defer = "60s"`) +
		forced("late", "late.test", otherwise, `defer = "2s"`)
}

// ends are what trace must say in the end of each recipient.
func ends() map[string]string {
	return map[string]string{"a@taken.test": "delivered", archive: "delivered", "d@sealed.test": "delivered",
		"n@bare.test": "delivered", "e@late.test": "delivered", "r@turned.test": "delivered", "h@held.test": "held",
		"j@never.test": "failed"}
}

// all are the recipients that a sender names.
func all(but ...string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(ends())), func(a string) bool {
		return a == archive || slices.Contains(but, a)
	})
}

// hosts says which host each recipient is reached at.
func hosts() map[string]string {
	out := map[string]string{}
	for to := range ends() {
		_, domain, _ := strings.Cut(to, "@")
		out[to] = "mx." + domain
	}
	out["n@bare.test"], out["e@late.test"], out["r@turned.test"] = "portal.test", "portal.test", "portal.test"
	return out
}

// sent are messages that were sent to some of the recipients, by their marks.
type sent struct {
	to                []string
	accepted, unknown []string
	// released says that the quarantine of all is over.
	released bool
	// excused says which second arrivals are wrong, of the arrivals of each mark at a recipient's server.
	excused func(to string, came map[string][]time.Time) []string
}

// wrong says what of the messages is lost or was done twice, not at all, or in the clear.
func (s *sent) wrong(w *served) (out []string) {
	w.T.Helper()
	arrived := w.arrivals(&out)
	want := append(slices.Clone(s.to), archive)
	for _, to := range want {
		out = append(out, s.excused(to, arrived[to])...)
	}
	traces := map[string]map[string][]harness.Trace{} // by mark and recipient
	for _, tr := range w.Traces("trace", "--limit", "100000") {
		if mark, ours := strings.CutSuffix(strings.TrimPrefix(tr.MessageID, "<"), "@home.test>"); ours && tr.Kind != "dsn" {
			if traces[mark] == nil {
				traces[mark] = map[string][]harness.Trace{}
			}
			traces[mark][tr.To] = append(traces[mark][tr.To], tr)
		}
	}
	told := w.told(&out)
	for _, mark := range slices.Concat(s.accepted, s.unknown) {
		stored := traces[mark]
		if len(stored) == 0 && slices.Contains(s.unknown, mark) {
			continue
		}
		if len(stored) != len(want) {
			out = append(out, fmt.Sprintf("%s has deliveries to %v", mark, slices.Sorted(maps.Keys(stored))))
		}
		for _, to := range want {
			out = append(out, s.one(mark, to, stored[to], len(arrived[to][mark]), told[mark+" "+to])...)
			delete(told, mark+" "+to)
		}
	}
	for key, reports := range told {
		out = append(out, fmt.Sprintf("the sender is told %v of %s", reports, key))
	}
	return append(out, w.leaks()...)
}

// one says what is wrong with one recipient of one message.
func (s *sent) one(mark, to string, traces []harness.Trace, arrived int, told map[string][]string) (out []string) {
	says := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("%s to %s: ", mark, to)+fmt.Sprintf(format, args...))
	}
	state, action := ends()[to], ""
	switch to {
	case "h@held.test":
		if s.released {
			state = "delivered"
		}
	case "j@never.test":
		action = "failed"
	case "d@sealed.test", "n@bare.test", "e@late.test":
		action = "relayed"
	}
	if len(traces) != 1 || traces[0].State != state {
		says("want one delivery that is %s, have %v", state, traces)
	}
	if (arrived > 0) != (state == "delivered") {
		says("it is %s, and came %d times", state, arrived)
	}
	if action == "" && len(told) > 0 || action != "" && (len(told) != 1 || len(told[action]) != 1) {
		says("want one report %q, have %v", action, told)
	}
	return out
}

// arrivals are when each mark came, by recipient. What came in part, to the wrong server, or with fields that it should
// not have, is wrong.
func (w *served) arrivals(wrong *[]string) map[string]map[string][]time.Time {
	out, at := map[string]map[string][]time.Time{}, hosts()
	for host, p := range w.Hosts {
		if host == "mail.home.test" {
			continue
		}
		for _, m := range p.Messages() {
			mark := marks.FindStringSubmatch(m.Data)
			if mark == nil || len(m.To) == 0 || !strings.HasSuffix(m.Data, strings.Repeat(mark[1]+"-end.\r\n", 3)) ||
				!strings.Contains(m.Data, mark[1]+"-middle.") {
				*wrong = append(*wrong, fmt.Sprintf("%s has only a part of a message:\n%.300s", host, m.Data))
				continue
			}
			for _, to := range m.To {
				if at[to] != host {
					*wrong = append(*wrong, fmt.Sprintf("%s came to %s for %s", mark[1], host, to))
				}
				if out[to] == nil {
					out[to] = map[string][]time.Time{}
				}
				out[to][mark[1]] = append(out[to][mark[1]], m.At)
				fields := 0
				if to == "a@taken.test" {
					fields = 1
				}
				if n := strings.Count(m.Data, "X-Marked: yes\r\n"); n != fields {
					*wrong = append(*wrong, fmt.Sprintf("%s came to %s with %d of the fields, want %d", mark[1], to, n, fields))
				}
			}
		}
	}
	return out
}

var parts = regexp.MustCompile(`(?ms)^Final-Recipient: rfc822; (\S+)\r\n(?:[^\r]+\r\n)*?Action: (\w+)`)

// told are the reports that senders got, by mark and recipient and by action: the Message-ID of each.
func (w *served) told(wrong *[]string) map[string]map[string][]string {
	out := map[string]map[string][]string{}
	for _, m := range w.Home().Messages() {
		mark, id := marks.FindStringSubmatch(m.Data), ownIDs.FindStringSubmatch(m.Data)
		if mark == nil || id == nil {
			*wrong = append(*wrong, fmt.Sprintf("a report without what it is about:\n%.500s", m.Data))
			continue
		}
		for _, part := range parts.FindAllStringSubmatch(m.Data, -1) {
			key := mark[1] + " " + part[1]
			if out[key] == nil {
				out[key] = map[string][]string{}
			}
			if !slices.Contains(out[key][part[2]], id[1]) { // one report may travel twice, as any mail
				out[key][part[2]] = append(out[key][part[2]], id[1])
			}
		}
	}
	return out
}

// leaks are the mail commands that were heard where they must not be.
func (w *served) leaks() (out []string) {
	for host, p := range w.Hosts {
		if lines := harness.Forbidden(p, host != "trap.test" && host != "mx.late.test"); len(lines) > 0 {
			out = append(out, fmt.Sprintf("%s heard what it must not: %.300q", host, lines))
		}
	}
	return out
}

func TestWhatRulesDoIsDoneOnceOverKills(t *testing.T) {
	for round := range either(2, 50) {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			w := servedTown(t)
			if round%2 == 1 {
				w.Settings["store"] = fmt.Sprintf("%q", harness.Database(t).URL())
				w.Settings["cluster.lease"] = `"3s"`
			}
			w.Start(servedRules())
			l := startLoad(w.Addr, 2, all()...)
			var kills []time.Time
			kill := func() {
				w.Kill()
				kills = append(kills, time.Now())
				w.Serve()
			}
			for range either(4, 10) {
				before, some := l.count(250), 1+rand.IntN(5)
				harness.Eventually(t, harness.Patience, "some messages are accepted", func() bool {
					return l.count(250) >= before+some
				})
				time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
				kill()
			}
			l.stop()
			t.Logf("%v over %d kills", l, len(kills))
			w.settled()
			s := sent{to: all(), accepted: l.accepted, unknown: l.unknown}
			s.excused = func(to string, came map[string][]time.Time) []string { return again(to, came, kills) }
			report(t, s.wrong(w))
			for range either(2, 5) { // the quarantine is ended while it is killed
				done := make(chan struct{})
				go func() {
					defer close(done)
					w.Run("", "queue", "release", "held.test")
				}()
				time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
				kill()
				<-done
			}
			w.Run("", "queue", "release", "held.test") // nothing may be left
			w.settled()
			s.released = true
			report(t, s.wrong(w))
		})
	}
}

func report(t *testing.T, wrong []string) {
	t.Helper()
	for _, text := range wrong {
		t.Error(text)
	}
}

// once excuses a second arrival of what was killed.
func once(killed map[string]string) func(to string, came map[string][]time.Time) []string {
	return func(to string, came map[string][]time.Time) (out []string) {
		for mark, times := range came {
			most := 1
			if killed[mark] != "" {
				most = 2
			}
			if len(times) > most {
				out = append(out, fmt.Sprintf("%s, killed before %q: it came to %s %d times", mark, killed[mark], to, len(times)))
			}
		}
		return out
	}
}

func TestWhatRulesDoIsDoneOnceKilledAtEveryCall(t *testing.T) {
	t.Parallel()
	w := servedTown(t)
	b := breaking(t, w.world)
	b.startBroken(t)
	w.Apply(servedRules())
	to := all("e@late.test") // which would take its time
	s := sent{to: to}
	killed := map[string]string{}
	s.excused = once(killed)
	at := func(n int) {
		try, reply := b.hand(span{kind: kinds()[1], to: to}, fmt.Sprintf("mark-at-%d", n), func() { b.order(orderKill, n) })
		w.reported(try.letter.mark)
		b.quiet()
		killed[try.letter.mark] = b.did()
		if try.accepted {
			s.accepted = append(s.accepted, try.letter.mark)
		} else if reply == "" {
			s.unknown = append(s.unknown, try.letter.mark)
		} else {
			t.Errorf("the reply to %s is %q", try.letter.mark, reply)
		}
	}
	at(0)
	points, _, _ := b.counted()
	b.end()
	for _, n := range everyOne(points, either(5, points)) {
		b.serve()
		at(n)
		b.end()
	}
	b.serve()
	w.settled()
	report(t, s.wrong(w))
	t.Logf("%d points:\n%s", points, histogram(tried(killed)))
}

// settled waits until nothing moves any more. Who is rejected is held until his sender is told.
func (w *served) settled() {
	w.T.Helper()
	harness.Eventually(w.T, harness.Patience, "who is rejected is reported", func() bool {
		a := w.Run("", "queue", "list", "--state", "held", "--json")
		return a.Code == 0 && !strings.Contains(a.Stdout, "j@never.test")
	})
	w.drained()
}

// reported waits until the sender of a message to all knows of the one that was rejected, or until the gateway has
// ended.
func (w *served) reported(mark string) {
	harness.Eventually(w.T, harness.Patience, mark+" is reported", func() bool {
		select {
		case <-w.Process.Ended:
			return true
		default:
		}
		return len(w.told(new([]string))[mark+" j@never.test"]) > 0
	})
}

// The control of these levels: a message that is missing, one that came again without a kill, what is not done with a
// message and what is done with one besides are each noticed.
func TestTheAccountOfWhatRulesDoIsStrict(t *testing.T) {
	t.Parallel()
	w := servedTown(t)
	w.Start(servedRules())
	to := all("e@late.test")
	send := func(mark string) { newLetter(mark, 500).send(w.world, false, mark+"@home.test", to...) }
	account := func(marks ...string) []string {
		w.settled()
		s := sent{to: to, accepted: marks, excused: once(nil)}
		return s.wrong(w)
	}
	send("mark-a")
	if wrong := account("mark-a"); len(wrong) > 0 {
		t.Fatalf("the account begins with %q", wrong)
	}
	if len(account("mark-a", "mark-of-nobody")) == 0 {
		t.Error("a message that is missing is not noticed")
	}
	send("mark-a")
	if len(account("mark-a")) == 0 {
		t.Error("a message that was delivered twice is not noticed")
	}
	for what, change := range map[string]func(rules string) string{
		"a copy too many": func(r string) string { return strings.ReplaceAll(r, `"`+archive+`"`, `"`+archive+`", "b@copies.test"`) },
		"no copy": func(r string) string {
			return strings.ReplaceAll(r, "[\"taken.test\"]\n[rule.bcc]", "[\"nobody.test\"]\n[rule.bcc]")
		},
		"no receipt":    func(r string) string { return strings.ReplaceAll(r, `receipt = "sender"`, "") },
		"no quarantine": func(r string) string { return strings.ReplaceAll(r, `"held.test"`, `"nobody.test"`) },
	} {
		mark := "mark-" + strings.ReplaceAll(what, " ", "-")
		w.Apply(change(servedRules()))
		send(mark)
		if text := strings.Join(account(mark), "\n"); !strings.Contains(text, mark+" ") {
			t.Errorf("%s is not noticed, but %q", what, text)
		}
	}
}

// tried are the tries of these kills.
func tried(killed map[string]string) (out []try) {
	for _, call := range killed {
		out = append(out, try{killed: call})
	}
	return out
}

// A quarantine that an administrator ends, by its release or its return, ends once.
func TestAQuarantineEndsOnceKilledAtEveryCall(t *testing.T) {
	for _, verb := range []string{"release", "return"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			w := servedTown(t)
			b := breaking(t, w.world)
			b.startBroken(t)
			w.Apply(servedRules())
			points := w.endsOnce(b, verb, 0)
			for _, n := range everyOne(points, either(3, points)) {
				w.endsOnce(b, verb, n)
			}
			report(t, w.leaks())
		})
	}
}

// endsOnce sends a message into quarantine and ends that, while the gateway is killed at a point, and never for 0. It
// returns how many points there were, and leaves the gateway running.
func (w *served) endsOnce(b *breaker, verb string, n int) (points int) {
	w.T.Helper()
	letter := newLetter(fmt.Sprintf("mark-at-%d", n), 500)
	id := letter.send(w.world, false, letter.sender(), "h@held.test")
	b.quiet()
	b.order(orderKill, n)
	did := w.Run("", "queue", verb, id).Code == 0
	b.quiet()
	call := b.did()
	points, _, _ = b.counted()
	b.end()
	b.serve()
	held := func() bool { return w.Traces("trace", "--message", id)[0].State == "held" }
	if held() {
		if !did { // else it comes by itself: it was asked for while the sweep had it
			w.Run("", "queue", verb, id)
		}
		harness.Eventually(w.T, harness.Patience, "the quarantine ends", func() bool { return !held() })
		w.drained()
	}
	arrived, told := 0, map[string]bool{}
	for _, m := range w.Hosts["mx.held.test"].Messages() {
		if is, _ := letter.in(m); is {
			arrived++
		}
	}
	for _, m := range w.Home().Messages() {
		if slices.Contains(m.To, letter.sender()) {
			told[ownIDs.FindStringSubmatch(m.Data)[1]] = true
		}
	}
	want := verb == "release" && len(told) == 0 && (arrived == 1 || arrived == 2 && call != "") ||
		verb == "return" && len(told) == 1 && arrived == 0
	if !want {
		w.T.Errorf("killed before %q: it came %d times, and there are %d reports", call, arrived, len(told))
	}
	return points
}

package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
	"postern/internal/queue"
)

func listings() []test {
	return []test{
		{"List yields the newest first, goes on below a cursor and stops at its limit", listOrder},
		{"List filters", listFilters},
		{"List that may look at few messages goes on where it stopped", listLooks},
		{"List stops when its loop ends, and when its context does", listStops},
		{"List finds the messages of a time even when clocks stepped back", listSteppingClock},
	}
}

func listOrder(k *suite) {
	for i := range 6 {
		k.accept(k.to(fmt.Sprintf("a%d@b.test", i), "mx:b.test"), k.to(fmt.Sprintf("b%d@b.test", i), "mx:b.test"))
	}
	all := k.list(queue.Filter{})
	k.same("all", named(all), []string{"b5", "a5", "b4", "a4", "b3", "a3", "b2", "a2", "b1", "a1", "b0", "a0"})
	k.same("below a cursor", named(k.list(queue.Filter{After: all[4].ID, Limit: 3})), []string{"a3", "b2", "a2"})
	k.same("below the last", named(k.list(queue.Filter{After: all[11].ID})), []string(nil))
}

// listLooks: a search in parts finds what a search at once does, and no part looks at more than it may.
func listLooks(k *suite) {
	for i := range 11 {
		domain := "a.test"
		if i%4 == 0 {
			domain = "rare.test"
		}
		k.accept(k.to("x@"+domain, "mx:"+domain), k.to("y@"+domain, "mx:"+domain))
		k.later(time.Minute)
	}
	f := queue.Filter{Recipient: "*@rare.test"}
	want := named(k.list(f))
	k.same("all", len(want), 6)
	for look := 1; look <= 12; look++ {
		f.Look, f.After = look, 0
		var got []string
		parts := 0
		for more := true; more; parts++ {
			more = false
			for r, err := range k.s.List(k.Context(), f) {
				var stop *queue.Unfinished
				if errors.As(err, &stop) {
					if f.After != 0 && stop.After >= f.After || stop.AcceptedAt.IsZero() {
						k.Fatalf("stopped at %+v, having begun below %d", stop, f.After)
					}
					f.After, more = stop.After, true
					continue
				}
				k.no(err)
				got = append(got, named([]queue.Record{r})...)
			}
		}
		k.same(fmt.Sprintf("found by %d", look), got, want)
		if least := (11 + look - 1) / look; parts < least || parts > least+1 {
			k.Errorf("looking at %d of 11 messages at a time took %d parts", look, parts)
		}
	}
}

// listed stores what listFilters looks for, from the time of the suite on: forced mail for Ann, mail to bob that is
// being sent, failed mail an hour later, whose ID it returns, and an hour later mail to dan at a site that fails.
func listed(k *suite, forced policy.Requirement) (failed queue.ID) {
	k.accept(k.to("Ann@clinic.test", "mx:clinic.test", forced), k.to("bob@sub.clinic.test", "mx:sub.clinic.test"))
	k.later(time.Hour)
	ruled := k.to("\"a[b\"@x.test", "mx:x.test")
	ruled.Rules, ruled.Tested = []string{"clinic \"1\""}, []string{"probe"}
	ruled.Effects = policy.Effects{{Rule: "archive", Kind: policy.EffectBCC, To: []string{"a@b.test"}}}
	sub := k.submission("x", ruled)
	sub.Message.Envelope.From, sub.Message.MessageID, sub.Message.Judged = mail.Address{}, "<Odd@Id>", 5
	k.no(k.s.Accept(k.Context(), sub))
	k.no(k.settle(queue.Settlement{State: queue.Failed, Reason: policy.Remote5xx,
		Attempt: &attempt.Attempt{At: k.now, Reason: policy.Remote5xx}}, k.one("mx:x.test")))
	k.later(time.Hour)
	k.accept(k.to("dan@bücher.test", "mx:xn--bcher-kva.test"))
	site := queue.SiteState{Failures: 1, Last: &attempt.Attempt{Reason: policy.CertExpired}}
	k.no(k.s.Settle(k.Context(), queue.Batch{Now: k.now,
		Sites: map[queue.SiteKey]queue.SiteState{"mx:xn--bcher-kva.test": site}}))
	k.one("mx:sub.clinic.test")
	return sub.Message.ID
}

func listFilters(k *suite) {
	start, forced := k.now, policy.Requirement{Channel: policy.Authenticated}
	failed := listed(k, forced)
	for name, tt := range map[string]struct {
		f    queue.Filter
		want []string
	}{
		"by message":    {queue.Filter{IDs: []queue.ID{failed, "none"}}, []string{`"a[b"`}},
		"by no message": {queue.Filter{IDs: []queue.ID{"none"}}, nil},
		"by state":      {queue.Filter{States: []queue.State{queue.Queued}}, []string{"Ann", "dan"}},
		"sending":       {queue.Filter{States: []queue.State{queue.Sending}}, []string{"bob"}},
		"by open and finished states": {queue.Filter{States: []queue.State{queue.Sending, queue.Failed}},
			[]string{`"a[b"`, "bob"}},
		"finished":                    {queue.Filter{States: []queue.State{queue.Failed}}, []string{`"a[b"`}},
		"by sender domain":            {queue.Filter{Sender: "Sender.TEST"}, []string{"Ann", "bob", "dan"}},
		"by sender pattern":           {queue.Filter{Sender: "?@*.test"}, []string{"Ann", "bob", "dan"}},
		"by null sender":              {queue.Filter{Sender: "<>"}, []string{`"a[b"`}},
		"by recipient":                {queue.Filter{Recipient: "ann@CLINIC.test"}, []string{"Ann"}},
		"by recipient domain":         {queue.Filter{Recipient: "clinic.test"}, []string{"Ann"}},
		"by recipient pattern":        {queue.Filter{Recipient: "*.clinic.test"}, []string{"bob"}},
		"by pattern with a bracket":   {queue.Filter{Recipient: `"a[b"@*`}, []string{`"a[b"`}},
		"by quoted recipient":         {queue.Filter{Recipient: `"a[b"@x.test`}, []string{`"a[b"`}},
		"by what is no address":       {queue.Filter{Recipient: "a@b@c"}, nil},
		"by domain":                   {queue.Filter{Domain: "Sub.Clinic.Test"}, []string{"bob"}},
		"by domain in letters":        {queue.Filter{Domain: "bücher.test"}, []string{"dan"}},
		"by domain and pattern":       {queue.Filter{Domain: "clinic.test", Recipient: "a*"}, []string{"Ann"}},
		"by message-id with brackets": {queue.Filter{MessageID: "<Odd@Id>"}, []string{`"a[b"`}},
		"by message-id without":       {queue.Filter{MessageID: "Odd@Id"}, []string{`"a[b"`}},
		"by message-id of other case": {queue.Filter{MessageID: "odd@id"}, nil},
		"by reason":                   {queue.Filter{Reason: policy.Remote5xx}, []string{`"a[b"`}},
		"by the reason of the site":   {queue.Filter{Reason: policy.CertExpired}, []string{"dan"}},
		"by rule":                     {queue.Filter{Rule: "clinic \"1\""}, []string{`"a[b"`}},
		"by rule in test":             {queue.Filter{Rule: "probe"}, []string{`"a[b"`}},
		"by a rule that did a thing":  {queue.Filter{Rule: "archive"}, []string{`"a[b"`}},
		"by no rule":                  {queue.Filter{Rule: "clinic"}, nil},
		"by site": {queue.Filter{Site: queue.NewSiteKey("mx:clinic.test", forced)},
			[]string{"Ann"}},
		"by site and state": {queue.Filter{Site: "mx:x.test", States: []queue.State{queue.Queued}}, nil},
		"by no site":        {queue.Filter{Site: "mx:none.test"}, nil},
		"since":             {queue.Filter{Since: start.Add(time.Hour)}, []string{`"a[b"`, "dan"}},
		"until":             {queue.Filter{Until: start.Add(time.Hour)}, []string{"Ann", "bob"}},
		"between": {queue.Filter{Since: start.Add(time.Minute), Until: start.Add(2 * time.Hour)},
			[]string{`"a[b"`}},
		"in an empty time":  {queue.Filter{Since: start.Add(3 * time.Hour)}, nil},
		"before everything": {queue.Filter{Until: start}, nil},
		"judged before":     {queue.Filter{JudgedBelow: 5}, []string{"Ann", "bob", "dan"}},
		"waiting and judged before": {queue.Filter{JudgedBelow: 5, States: []queue.State{queue.Queued, queue.Held}},
			[]string{"Ann", "dan"}},
		"recipient and time": {queue.Filter{Domain: "clinic.test", Since: start.Add(time.Minute)}, nil},
		"by scope of the sender": {queue.Filter{Scope: []mail.Domain{mail.MustDomain("sender.test")}},
			[]string{"Ann", "bob", "dan"}},
		"by scope of a recipient": {queue.Filter{Scope: []mail.Domain{mail.MustDomain("none.test"),
			mail.MustDomain("x.test")}}, []string{`"a[b"`}},
		"by scope and state": {queue.Filter{Scope: []mail.Domain{mail.MustDomain("sender.test")},
			States: []queue.State{queue.Queued, queue.Failed}}, []string{"Ann", "dan"}},
		"by scope and recipient": {queue.Filter{Scope: []mail.Domain{mail.MustDomain("sender.test")},
			Recipient: "clinic.test"}, []string{"Ann"}},
		"by a scope of nothing": {queue.Filter{Scope: []mail.Domain{}}, nil},
		"by scope of what was judged": {queue.Filter{Scope: []mail.Domain{mail.MustDomain("clinic.test")},
			JudgedBelow: 5}, []string{"Ann"}},
		"recipient, sender and states": {queue.Filter{Recipient: "dan@bücher.test", Sender: "sender.test",
			States: []queue.State{queue.Queued}}, []string{"dan"}},
	} {
		k.same(name, sorted(k.list(tt.f)), tt.want)
		tt.f.Brief = true
		k.same(name+", in brief", sorted(k.list(tt.f)), tt.want)
	}
	for brief, kept := range map[bool]int{false: 1, true: 0} {
		for r, err := range k.s.List(k.Context(), queue.Filter{States: []queue.State{queue.Failed}, Brief: brief}) {
			if k.no(err); len(r.History) != kept {
				k.Errorf("brief is %v, and %d attempts are told", brief, len(r.History))
			}
		}
	}
}

func listStops(k *suite) {
	for i := range 5 {
		k.accept(k.to(fmt.Sprintf("r%d@b.test", i), "mx:b.test"))
	}
	n := 0
	for _, err := range k.s.List(k.Context(), queue.Filter{}) {
		k.no(err)
		if n++; n == 2 {
			break
		}
	}
	ended, end := context.WithCancel(k.Context())
	end()
	for _, err := range k.s.List(ended, queue.Filter{}) {
		k.is(err, context.Canceled)
		return
	}
	k.Error("a List whose context has ended yielded nothing, want its error")
}

func listSteppingClock(k *suite) {
	start := k.now
	for i, minutes := range []int{0, 10, 5, 20, -30, 21, 40, 15, 41} {
		k.now = start.Add(time.Duration(minutes) * time.Minute)
		k.accept(k.to(fmt.Sprintf("m%d.%d@b.test", minutes, i), "mx:b.test"))
	}
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	k.same("10 to 20", named(k.list(queue.Filter{Since: at(10), Until: at(20)})), []string{"m15.7", "m10.1"})
	k.same("since 20", named(k.list(queue.Filter{Since: at(20)})), []string{"m41.8", "m40.6", "m21.5", "m20.3"})
	k.same("until 6", named(k.list(queue.Filter{Until: at(6)})), []string{"m-30.4", "m5.2", "m0.0"})
}

func actions() []test {
	return []test{
		{"Act retry makes due now and lets the site's next probe go", actRetry},
		{"Act hold keeps until released", actHold},
		{"Act cancel ends without a notice and drops the body", actCancel},
		{"Act selects by domain, by message, by site, or everything", actSelects},
		{"Act does at once what the lease of a dead worker covers", actLapsed},
		{"Act of an unknown kind is an error", actUnknown},
	}
}

func (k *suite) act(kind queue.ActionKind, a queue.Action) queue.Acted {
	k.Helper()
	a.Kind, a.Now, a.By = kind, k.now, "test"
	got, err := k.s.Act(k.Context(), a)
	k.no(err)
	return got
}

func actRetry(k *suite) {
	later, held := k.to("a@b.test", "mx:b.test"), k.to("held@b.test", "mx:b.test")
	later.Due, held.State, held.Due = k.now.Add(time.Hour), queue.Held, time.Time{}
	k.accept(later, held)
	state := queue.SiteState{Failures: 4, Since: k.now, RetryAt: k.now.Add(time.Hour)}
	k.no(k.s.Settle(k.Context(), queue.Batch{Now: k.now, Sites: map[queue.SiteKey]queue.SiteState{"mx:b.test": state}}))
	k.same("Acted", k.act(queue.Retry, queue.Action{}), queue.Acted{Changed: 1, Sites: []queue.SiteKey{"mx:b.test"}})
	w := k.one("mx:b.test")
	state.RetryAt = k.now
	k.same("SiteState", w.SiteState, state)
	k.wantState("held@b.test", queue.Held)
}

func actHold(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	k.same("Acted", k.act(queue.Hold, queue.Action{}), queue.Acted{Changed: 1, Sites: []queue.SiteKey{"mx:b.test"}})
	k.same("held again", k.act(queue.Hold, queue.Action{}), queue.Acted{})
	k.wantState("a@b.test", queue.Held)
	k.later(200 * time.Hour)
	k.same("claimed", len(k.claim("mx:b.test"))+len(k.claimAs(queue.Claim{Overdue: true})), 0)
	k.same("retried", k.act(queue.Retry, queue.Action{}), queue.Acted{})
	k.same("released", k.act(queue.Release, queue.Action{}),
		queue.Acted{Changed: 1, Sites: []queue.SiteKey{"mx:b.test"}})
	k.same("released again", k.act(queue.Release, queue.Action{}), queue.Acted{})
	w := k.one("mx:b.test")
	if w.Was != queue.Queued || !w.Deadline.After(k.now) { // its window has ended, and it is tried all the same
		k.Errorf("the released delivery is %+v", w.Delivery)
	}
}

func actCancel(k *suite) {
	id := k.accept(k.to("a@b.test", "mx:b.test"), k.to("c@d.test", "mx:d.test"))
	k.act(queue.Cancel, queue.Action{Domains: []string{"b.test"}})
	r := k.record("a@b.test")
	if r.State != queue.Cancelled || !r.FinishedAt.Equal(k.now) || !r.Due.IsZero() {
		k.Errorf("the cancelled delivery is %+v", r.Delivery)
	}
	k.wantBody(id, []byte("Subject: a\r\n\r\nbody\r\n"))
	k.act(queue.Cancel, queue.Action{})
	_, err := k.body(id)
	k.is(err, queue.ErrNotFound)
	k.same("cancelled again", k.act(queue.Cancel, queue.Action{}), queue.Acted{})
	k.wantStates(map[queue.State]int64{queue.Cancelled: 2})
}

func actSelects(k *suite) {
	ids := []queue.ID{
		k.accept(k.to("a@b.test", "mx:b.test"), k.to("a@c.test", "mx:c.test")),
		k.accept(k.to("d@b.test", "mx:b.test"), k.to("d@e.test", "mx:e.test")),
	}
	for name, tt := range map[string]struct {
		a     queue.Action
		n     int
		sites []queue.SiteKey
	}{
		"domain":  {queue.Action{Domains: []string{"B.test."}}, 2, []queue.SiteKey{"mx:b.test"}},
		"message": {queue.Action{Messages: ids[:1]}, 2, []queue.SiteKey{"mx:b.test", "mx:c.test"}},
		"site":    {queue.Action{Sites: []queue.SiteKey{"mx:e.test"}}, 1, []queue.SiteKey{"mx:e.test"}},
		"any of them": {queue.Action{Sites: []queue.SiteKey{"mx:e.test"}, Domains: []string{"b.test", "c.test"}},
			4, []queue.SiteKey{"mx:b.test", "mx:c.test", "mx:e.test"}},
		"everything":       {queue.Action{}, 4, []queue.SiteKey{"mx:b.test", "mx:c.test", "mx:e.test"}},
		"nothing there":    {queue.Action{Domains: []string{"x.test"}, Messages: []queue.ID{"none"}}, 0, nil},
		"no domain at all": {queue.Action{Domains: []string{"-"}}, 0, nil},
	} {
		k.same(name, k.act(queue.Retry, tt.a), queue.Acted{Changed: tt.n, Sites: tt.sites})
	}
}

// actLapsed: a lease that ran out protects nothing.
func actLapsed(k *suite) {
	k.accept(k.to("a@b.test", "mx:b.test"))
	w := k.one("mx:b.test")
	k.later(time.Minute)
	k.same("cancelled after it", k.act(queue.Cancel, queue.Action{}),
		queue.Acted{Changed: 1, Sites: []queue.SiteKey{"mx:b.test"}})
	k.is(k.settle(queue.Settlement{State: queue.Delivered}, w), queue.ErrStaleLease)
	k.wantState("a@b.test", queue.Cancelled)
}

func actUnknown(k *suite) {
	if _, err := k.s.Act(k.Context(), queue.Action{Kind: "explode", Now: k.now}); err == nil {
		k.Error("an unknown action was carried out")
	}
}

package dispatch_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/route"
	"postern/internal/lab/partner"
	"postern/internal/mail"
	"postern/internal/queue"
)

// The delay notice says what becomes of the message and when, and that is what becomes of it.
func TestTheDelayNoticeSaysWhatComesNext(t *testing.T) {
	ways := func(keys string) string {
		return strings.ReplaceAll(otherwise(keys), `"bounce"`, `"route:safe", "bounce"`)
	}
	for name, tt := range map[string]struct {
		rules  string
		clinic func(w *world) partner.Behaviour
		says   []string        // {0} is the first time, and so on
		at     []time.Duration // after acceptance; the last is when it is returned
	}{
		"two ways": {ways("defer = \"24h\""), nil, []string{
			`The gateway tries until {0}. If it cannot deliver by then, the rule "clinic" of your organisation has it go ` +
				`another way, with the same protection: to the route portal, where it is tried until {1} at most, then ` +
				`to the route safe, where it is tried until {2} at most. If it cannot be delivered that way either, you ` +
				`get another notice.`, "Will-Retry-Until: {2}"},
			[]time.Duration{24 * time.Hour, 48 * time.Hour, 72 * time.Hour}},
		"on the first of two ways": {ways("defer = \"90m\""), nil, []string{
			`by the rule "clinic" it was sent to the route portal`,
			`The gateway tries until {0}. If it cannot deliver by then, the rule "clinic" of your organisation has it go ` +
				`another way, with the same protection: to the route safe, where it is tried until {1} at most.`,
			"Will-Retry-Until: {1}"},
			[]time.Duration{3 * time.Hour, 270 * time.Minute}},
		"on the last way": {otherwise("defer = \"90m\""), nil, []string{
			`by the rule "clinic" it was sent to the route portal`,
			`The gateway tries until {0}. If it cannot deliver by then, you get another notice.`,
			"Will-Retry-Until: {0}"}, []time.Duration{3 * time.Hour}},
		"no other way": {clinicRule, nil, []string{
			`The gateway tries until {0}. If it cannot deliver by then, you get another notice.`, "Will-Retry-Until: {0}"},
			[]time.Duration{24 * time.Hour}},
		"put off by its server, which is no matter of the demand": {ways(""), func(w *world) partner.Behaviour {
			b := w.good("mx.clinic.test")
			b.Replies = map[string]string{"RCPT": "451 4.2.1 later"}
			return b
		}, []string{`The gateway tries until {0}. If it cannot deliver by then, you get another notice.`,
			"Will-Retry-Until: {0}"}, []time.Duration{120 * time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				w.zone(withPortal + "safe.example.test. A 192.0.2.51\n")
				portal, safe := w.portal(), w.partner("safe.example.test", "192.0.2.51:25")
				w.t.Cleanup(safe.Close)
				w.reload(func(c *route.Config) {
					w.toPortal(c)
					c.Routes = append(c.Routes, route.Route{Name: "safe",
						To: []route.HostPort{{Host: mail.MustDomain("safe.example.test")}}})
				})
				portal.Set(partner.Behaviour{Fault: partner.Busy})
				safe.Set(partner.Behaviour{})
				w.clinic.Set(w.expired("mx.clinic.test"))
				if tt.clinic != nil {
					w.clinic.Set(tt.clinic(w))
				}
				w.apply(tt.rules)
				w.start()
				accepted := time.Now()
				w.accept("a@example.test", nil, "dr@clinic.test")
				end := tt.at[len(tt.at)-1]
				time.Sleep(end - time.Minute)
				if r := w.to("dr@clinic.test"); !r.State.Waiting() && r.State != queue.Sending {
					t.Errorf("a minute before the end: %v %q", r.State, r.Reason)
				}
				time.Sleep(2 * time.Minute)
				r := w.to("dr@clinic.test")
				if r.State != queue.Failed {
					t.Errorf("a minute after the end: %v %q", r.State, r.Reason)
				}
				delays := slices.DeleteFunc(w.own.Messages(), func(m partner.Message) bool {
					return !strings.Contains(m.Data, "Action: delayed")
				})
				if len(delays) != 1 {
					t.Fatalf("%d delay notices", len(delays))
				}
				said := unfolded(delays[0].Data)
				for _, want := range tt.says {
					for i, at := range tt.at {
						date := accepted.Add(at).UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700")
						want = strings.ReplaceAll(want, "{"+string(rune('0'+i))+"}", date)
					}
					if !strings.Contains(about(said), about(want)) {
						t.Errorf("the notice does not say %q:\n%s", want, delays[0].Data)
					}
				}
			}, long)
		})
	}
}

var seconds = regexp.MustCompile(`(\d\d:\d\d):\d\d `)

// about is a text with times to the minute: the sweep that ends a window comes within a second of it.
func about(text string) string { return seconds.ReplaceAllString(text, "$1 ") }

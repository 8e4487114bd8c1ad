package server

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/internal/gateway/stscache"
	"postern/internal/history/told"
	"postern/internal/mail"
	"postern/internal/policy/exception"
	"postern/internal/policy/rulevalue"
	"postern/internal/queue/memstore"
)

func silent(kind stscache.Kind) error {
	return &stscache.Failure{Note: stscache.Note{Kind: kind, Text: "nothing answers"}}
}

// Many domains whose policy hosts are out of reach, and none that answers: that is here. One that answers, whatever, or
// faults of another sort say nothing of the kind.
func TestWhenNoPolicyHostIsReachedItIsToldOnce(t *testing.T) {
	noon := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	type fetch struct {
		domain string
		err    error
		after  time.Duration
	}
	many := func(n int, err error, every time.Duration) (out []fetch) {
		for i := range n {
			out = append(out, fetch{fmt.Sprintf("d%d.test", i), err, every})
		}
		return out
	}
	silence, refused, expired := silent(stscache.HostSilent), silent(stscache.HostRefused), silent(stscache.Certificate)
	for _, c := range []struct {
		name    string
		fetches []fetch
		told    int
	}{
		{"four domains", many(4, silence, time.Minute), 0},
		{"five domains", many(5, silence, time.Minute), 1},
		{"forty domains", many(40, refused, time.Second), 1},
		{"five, with hours between", many(5, silence, time.Hour), 0},
		{"one domain, often", append(many(1, silence, time.Minute), many(1, silence, time.Minute)...), 0},
		{"one answered between", append(append(many(3, silence, time.Minute), fetch{"good.test", nil, time.Minute}), many(4, silence, time.Minute)...), 0},
		{"one answered with a bad certificate", append(append(many(4, silence, time.Minute), fetch{"bad.test", expired, time.Minute}), many(4, silence, time.Minute)...), 0},
		{"DNS does not say where they are", many(9, silent(stscache.HostUnknown), time.Minute), 0},
		{"we ourselves were too busy", many(9, silent(stscache.Busy), time.Minute), 0},
		{"an error of another sort", many(9, errors.New("?"), time.Minute), 0},
	} {
		told := 0
		r := reach{tell: func(what string, err error, hint string) {
			if told++; what != "policy hosts" || !strings.Contains(err.Error(), "nothing answers") || hint == "" {
				t.Errorf("%s: %q %v %q", c.name, what, err, hint)
			}
		}}
		now := noon
		for _, f := range c.fetches {
			now = now.Add(f.after)
			r.note(mail.MustDomain(f.domain), f.err, now)
		}
		if told != c.told {
			t.Errorf("%s: told %d times", c.name, told)
		}
	}
}

// everything was told by nobody else.
func everything(keys []string) []string { return keys }

func TestAnExceptionIsRememberedBeforeItsEnd(t *testing.T) {
	end := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	list := []exception.Exception{{Domain: mail.MustDomain("broken.test"), Reason: "ticket 4711", Expires: rulevalue.Expiry{At: end}}}
	var r reminder
	told := ""
	for at := end.AddDate(0, 0, -40); at.Before(end.AddDate(0, 0, 3)); at = at.Add(remindPause) {
		if text := r.look(list, at, everything); text != "" {
			told += fmt.Sprint(" ", int(end.Sub(at).Hours()/24))
			if !strings.Contains(text, "broken.test (2027-01-31") || !strings.Contains(text, "ticket 4711") {
				t.Error(text)
			}
		}
	}
	if told != " 14 7 3 1" {
		t.Errorf("told with so many days to go:%s", told)
	}
	list[0].Expires.At = end.AddDate(0, 1, 0)
	if text := r.look(list, end.AddDate(0, 1, -14), everything); text == "" {
		t.Error("one that was made longer is not told of again")
	}
}

func TestHowLongSomethingGoesOnIsRemembered(t *testing.T) {
	var l lately
	now := time.Now()
	for _, c := range []struct{ after, since time.Duration }{{0, 0}, {time.Hour, 0}, {40 * time.Hour, 0}, {80 * time.Hour, 0}, {200 * time.Hour, 200 * time.Hour}} {
		at := now.Add(c.after)
		l.first("a.test", at)
		if got := l.since("a.test", at); !got.Equal(now.Add(c.since)) {
			t.Errorf("after %v: since %v", c.after, got.Sub(now))
		}
	}
}

// TestAnExceptionIsToldOfByOneGateway: each looks when it does, and they tell of each step once together.
func TestAnExceptionIsToldOfByOneGateway(t *testing.T) {
	end := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	list := []exception.Exception{
		{Domain: mail.MustDomain("broken.test"), Reason: "ticket 4711", Expires: rulevalue.Expiry{At: end}},
		{Domain: mail.MustDomain("other.test"), Reason: "ticket 4712", Expires: rulevalue.Expiry{At: end.AddDate(0, 0, 1)}},
	}
	book := told.NewBook(memstore.New())
	count := 0
	var gateways [2]reminder
	for at := end.AddDate(0, 0, -40); at.Before(end.AddDate(0, 0, 3)); at = at.Add(remindPause) {
		for i := range gateways {
			now := at.Add(time.Duration(i) * time.Hour)
			count += strings.Count(gateways[i].look(list, now, func(keys []string) []string {
				out, err := book.First(t.Context(), keys, now, remindRest)
				if err != nil {
					t.Error(err)
				}
				return out
			}), "ticket")
		}
	}
	if want := len(list) * len(remindDays()); count != want {
		t.Errorf("it was told %d times, want %d", count, want)
	}
}

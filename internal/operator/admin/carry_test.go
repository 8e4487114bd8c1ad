package admin_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/lab/testkit/backlog"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
	"postern/internal/platform/records"
	"postern/internal/policy"
	"postern/internal/policy/mxpins"
	"postern/internal/queue/memstore"
)

// unwritable is a store whose records can be read.
type unwritable struct{ *memstore.Store }

func (unwritable) ChangeRecords(context.Context, func(records.Tx) error) error {
	return errors.New("the disk is full")
}

// TestARenamedRuleKeepsItsMailHosts: it is no first use again. Where nobody can tell which rule it was, it begins anew.
func TestARenamedRuleKeepsItsMailHosts(t *testing.T) {
	const rule = "[[rule]]\nname = 'NAME'\naction = 'force-tls'\nmatch.recipient = ['clinic.test']\n"
	named := func(names ...string) (out string) {
		for _, name := range names {
			out += strings.ReplaceAll(rule, "NAME", name)
		}
		return out
	}
	store := memstore.New()
	s := admin.New(admin.Config{Store: store, Ledger: store, Rules: backlog.Keeper(t, store), Pins: mxpins.NewBook(store)})
	apply := func(s *admin.Service, text string) error {
		_, err := s.For(access.Root("anna")).ApplyRules(t.Context(), admin.ApplyRequest{Name: "rules.toml", Text: text})
		return err
	}
	known := func(rule string) (out []string) {
		pins, err := mxpins.NewBook(store).Pins(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pins {
			if p.Rule == rule {
				out = append(out, p.Domain+" "+p.Name+" "+p.By+" "+p.Since.UTC().Format(time.DateOnly))
			}
		}
		return out
	}
	if err := apply(s, named("clinic")); err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	pin := mxpins.Pin{Domain: "clinic.test", Rule: "clinic", Name: "clinic.test", Since: since, By: policy.MXByFirstUse}
	seen := mxpins.Pin{Domain: "clinic.test", Rule: "clinic", Name: "backup.test", Since: since, By: mxpins.Seen}
	if _, err := mxpins.NewBook(store).Remember(t.Context(), true, []mxpins.Pin{pin, seen}); err != nil {
		t.Fatal(err)
	}
	want := []string{"clinic.test backup.test seen 2026-11-01", "clinic.test clinic.test first-use 2026-11-01"}

	broken := admin.New(admin.Config{Store: store, Ledger: store, Rules: backlog.Keeper(t, store), Pins: mxpins.NewBook(unwritable{store})})
	if err := apply(broken, named("hospital")); err == nil || !strings.Contains(err.Error(), "the rules stay as they are") {
		t.Errorf("what could not be carried: %v", err)
	}
	if err := apply(s, named("hospital")); err != nil || !slices.Equal(known("hospital"), want) || !slices.Equal(known("clinic"), want) {
		t.Errorf("%v: hospital knows %q, clinic %q", err, known("hospital"), known("clinic"))
	}
	if err := apply(s, named("one", "two")); err != nil || len(known("one"))+len(known("two")) != 0 {
		t.Errorf("%v: one knows %q, two %q", err, known("one"), known("two"))
	}
}

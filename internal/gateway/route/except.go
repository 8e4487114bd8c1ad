package route

import (
	"time"

	"postern/internal/mail"
	"postern/internal/policy"
)

// Except is t for mail to d, of which an administrator set aside what is published: by kind, and why. What is found is
// shown and demands nothing; the note of each says why. It is t itself where nothing is set aside, and where the hosts
// were named by an administrator: a connection to these may carry the mail of other domains too. Plans hold until ends;
// zero is for ever.
func (t *Table) Except(d mail.Domain, kinds map[string]string, ends time.Time) *Table {
	if _, to := t.named(d); len(kinds) == 0 || to != nil {
		return t
	}
	out := *t // the maps are shared, and never change
	out.excepted, out.exceptedUntil = kinds, ends
	for kind, mode := range map[string]*string{policy.PublishedDANE: &out.cfg.DANE, policy.PublishedSTS: &out.cfg.STS} {
		if kinds[kind] != "" && *mode != "" {
			*mode = policy.Excepted
		}
	}
	return &out
}

// explainExceptions writes down why what was found of a plan is not kept to.
func (t *Table) explainExceptions(plan *Plan) {
	plan.ends = t.exceptedUntil
	for i := range plan.Hops {
		for j := range plan.Hops[i].Published {
			p := &plan.Hops[i].Published[j]
			why := t.excepted[p.Kind]
			switch {
			case p.Mode != policy.Excepted:
			case p.Note == "":
				p.Note = why
			default:
				p.Note = why + "; " + p.Note
			}
		}
	}
}

package route

import "postern/internal/policy"

// Except is t for a domain for which an administrator set aside what is published: by kind, and why. What is found is shown
// and demands nothing; the note of each says why. It is t itself where nothing is set aside.
func (t *Table) Except(kinds map[string]string) *Table {
	if len(kinds) == 0 {
		return t
	}
	out := *t // the maps are shared, and never change
	out.excepted = kinds
	for kind, mode := range map[string]*string{policy.PublishedDANE: &out.cfg.DANE, policy.PublishedSTS: &out.cfg.STS} {
		if kinds[kind] != "" && *mode != "" {
			*mode = policy.Excepted
		}
	}
	return &out
}

// explainExceptions writes down why what was found of a plan is not kept to.
func (t *Table) explainExceptions(plan *Plan) {
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

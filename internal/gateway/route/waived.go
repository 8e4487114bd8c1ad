package route

import "postern/internal/policy"

// Waived is t for a message that sets aside what recipients' domains publish (RFC 8689 §3): all is asked for, shown and
// of use as evidence, and nothing of it is demanded or keeps a host from being tried. It is t itself where the
// configuration leaves that to nobody.
func (t *Table) Waived() *Table {
	if !t.cfg.Waivable {
		return t
	}
	return t.SetAside()
}

// SetAside is Waived whatever the configuration says, for reports about TLS, which go despite its faults (RFC 8460 §3).
func (t *Table) SetAside() *Table {
	waived := *t // the maps are shared, and never change
	for _, mode := range []*string{&waived.cfg.DANE, &waived.cfg.STS} {
		if *mode == policy.Enforced {
			*mode = policy.Waived
		}
	}
	return &waived
}

// binding reports whether what is published in a mode binds all but those who set it aside.
func binding(mode string) bool { return mode == policy.Enforced || mode == policy.Waived }

// Waives reports whether the configuration lets messages set aside what is published.
func (t *Table) Waives() bool { return t.cfg.Waivable }

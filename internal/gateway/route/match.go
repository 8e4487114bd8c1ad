package route

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"postern/internal/mail"
)

// matches finds what was written for a domain: by its name, by the longest "*." above it, or by "*".
type matches[T any] struct {
	exact map[mail.Domain]T
	wild  []wildcard[T] // longest first
	any   *T
}

type wildcard[T any] struct {
	parent mail.Domain
	value  T
}

// add notes a value for one entry of a route's Match.
func (m *matches[T]) add(match string, value T) error {
	if match == "*" {
		if m.any != nil {
			return errors.New(`"*" is routed twice`)
		}
		m.any = &value
		return nil
	}
	below, isWild := strings.CutPrefix(match, "*.")
	d, err := mail.ParseDomain(below)
	if err != nil {
		return fmt.Errorf("%q is neither a domain, *.domain nor *", match)
	}
	if !isWild {
		if _, twice := m.exact[d]; twice {
			return fmt.Errorf("%q is routed twice", match)
		}
		if m.exact == nil {
			m.exact = map[mail.Domain]T{}
		}
		m.exact[d] = value
		return nil
	}
	if slices.ContainsFunc(m.wild, func(w wildcard[T]) bool { return w.parent == d }) {
		return fmt.Errorf("%q is routed twice", match)
	}
	m.wild = append(m.wild, wildcard[T]{d, value})
	slices.SortStableFunc(m.wild, func(a, b wildcard[T]) int {
		return cmp.Compare(len(b.parent.String()), len(a.parent.String()))
	})
	return nil
}

// of returns the value that goes first for d; false where there is none.
func (m *matches[T]) of(d mail.Domain) (value T, ok bool) {
	if value, ok = m.exact[d]; ok {
		return value, true
	}
	for _, w := range m.wild {
		if d.Below(w.parent) {
			return w.value, true
		}
	}
	if m.any != nil {
		return *m.any, true
	}
	return value, false
}

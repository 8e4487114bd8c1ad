package admin

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"postern/internal/operator/access"
	"postern/internal/operator/live"
	"postern/internal/operator/scope"
	"postern/internal/operator/servers"
	"postern/internal/policy/rules"
)

// errHidden stands for an error whose words may speak of others.
var errHidden = errors.New("something failed; an administrator of the whole gateway finds in its log what")

// Tell is an error as the principal may hear it: what is about the request is told in its words, anything else to a
// scope of domains without them, because they may name files, rules and servers of others. known are more errors about
// requests.
func (d *Desk) Tell(err error, known ...error) error {
	if err == nil || d.who.Scope.All {
		return err
	}
	known = append(known, access.ErrForbidden, access.ErrStale, access.ErrNotFound, access.ErrBadRequest, access.ErrWho,
		ErrRevision, servers.ErrBusy, live.ErrStreams, scope.ErrUnfinished)
	if slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
		return err
	}
	if broken, ok := errors.AsType[*rules.ParseError](err); ok && broken.File == ownRule {
		return err
	}
	return errHidden
}

// warnings are those about rules that the principal is told of, as if there were no others, with what it may do about
// them.
func (d *Desk) warnings(set *rules.Set) []rules.Warning {
	if d.who.Scope.All {
		return set.Warnings(time.Now(), d.s.own()...)
	}
	return narrowed(set.Only(d.who.Hears).Warnings(time.Now(), d.ownSeen(d.s.cfg.Rules.Now())...))
}

// narrowed are warnings about rules as an account hears them that is limited to domains: without their lines, which are
// of a file that is not shown, and with what such an account may do.
func narrowed(list []rules.Warning) (out []rules.Warning) {
	for _, w := range list {
		if strings.HasPrefix(w.Rule, "[[") {
			continue // it is about a list
		}
		w.Line, w.Hint = 0, cmp.Or(w.Narrow, w.Hint)
		out = append(out, w)
	}
	return out
}

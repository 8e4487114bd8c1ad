package admin

import (
	"errors"
	"slices"

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

// mine keeps the warnings that are about rules of the principal.
func (d *Desk) mine(list []rules.Warning) (out []rules.Warning, err error) {
	if d.who.Scope.All {
		return list, nil
	}
	own, err := d.who.RuleNames()
	for _, w := range list {
		if own[w.Rule] {
			w.Line = 0 // of the file that is not shown
			out = append(out, w)
		}
	}
	return out, err
}

package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// errEnough: so many messages were written in the last hour, by whichever gateway.
var errEnough = errors.New("enough messages were written for an hour")

// here is the key of a matter of this gateway alone.
func (n *Notifier) here(key string) string {
	if n.cfg.Node == "" {
		return key
	}
	return key + " at " + n.cfg.Node
}

// claimed is what this gateway is to tell, and what it takes back where it cannot.
type claimed struct {
	matters []Matter
	keys    []string
}

// claim takes out what another gateway told within a day, and notes the rest as told.
func (n *Notifier) claim(ctx context.Context, matters []Matter, now time.Time) (c claimed, err error) {
	if n.cfg.Told == nil {
		return claimed{matters: matters}, nil
	}
	keys := make([]string, len(matters))
	for i := range matters {
		keys[i] = "matter " + matters[i].Key
	}
	first, err := n.cfg.Told.First(ctx, keys, now, rest)
	if err != nil || len(first) == 0 {
		return c, err
	}
	for i := range matters {
		if slices.Contains(first, keys[i]) {
			c.matters = append(c.matters, matters[i])
		}
	}
	c.keys = first
	places := make([]string, n.cfg.PerHour)
	for i := range places {
		places[i] = fmt.Sprint("letter ", i)
	}
	place, err := n.cfg.Told.OneOf(ctx, places, now, time.Hour)
	if place != "" {
		c.keys = append(c.keys, place)
	} else if err == nil {
		err = errEnough
	}
	if err != nil {
		n.withdraw(ctx, &c)
	}
	return c, err
}

// withdraw gives back what was claimed. Where that fails too it is not told for a day; the log has it.
func (n *Notifier) withdraw(ctx context.Context, c *claimed) {
	if len(c.keys) > 0 {
		_ = n.cfg.Told.Withdraw(context.WithoutCancel(ctx), c.keys...) // see above
	}
}

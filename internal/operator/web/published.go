package web

import (
	"strconv"
	"time"

	"postern/internal/operator/past"
)

// observedView is what was delivered and would have waited if what domains publish were kept to.
type observedView struct {
	Domain string
	Days   int
	past.Observed
	Unseen *unfinished
}

// observedPatience is how long a page of past mail may take.
const observedPatience = 3 * time.Second

func (c *Console) observed(r *request) error {
	v := observedView{Domain: r.FormValue("domain"), Days: past.ObservedDays}
	if n, err := strconv.Atoi(r.FormValue("days")); err == nil && n >= 1 {
		v.Days = n
	}
	var err error
	if v.Observed, err = r.desk.Observed(r.ctx(), past.ObservedRequest{Domain: v.Domain, Days: v.Days},
		observedPatience); err != nil {
		return err
	}
	v.Unseen = unseen(v.Complete, v.SearchedTo)
	return c.page(r, "observed", "What would have waited", v)
}

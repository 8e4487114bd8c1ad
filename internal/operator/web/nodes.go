package web

import (
	"time"

	"postern/internal/operator/admin"
)

// nodesView is the gateways of the store.
type nodesView struct {
	Nodes  []admin.GatewayNode
	Shared bool // with more than itself, or ready to
	// Revision is what the gateway that answers judges by.
	Revision int64
}

func (c *Console) nodes(r *request) error {
	list, err := r.desk.Nodes(r.ctx())
	if err != nil {
		return err
	}
	v := nodesView{Nodes: list}
	for _, n := range list {
		v.Shared = v.Shared || n.RenewedMS != nil
		if n.Self {
			v.Revision = n.RulesRevision
		}
	}
	return c.page(r, "nodes", "Gateways of this queue", v)
}

// millis is a number of milliseconds for people: short ones as they are.
func millis(ms *int64) string {
	switch {
	case ms == nil:
		return "–"
	case *ms < 1000:
		return time.Duration(*ms * int64(time.Millisecond)).String()
	}
	return rough(time.Duration(*ms) * time.Millisecond)
}

// nodeState is the colour of a gateway's state.
func nodeState(n admin.GatewayNode) string {
	return map[string]string{"live": "delivered", "gone": "failed"}[string(n.State)]
}

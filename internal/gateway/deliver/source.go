package deliver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"postern/internal/gateway/route"
)

// sourceFault says that no connection can come from an address that mail is to come from. It is a fault of this
// machine, whatever the peer is.
type sourceFault struct{ from netip.Addr }

// Error says it in words for an attempt.
func (f *sourceFault) Error() string {
	return fmt.Sprintf("no connection can be opened from %s, the source that the configuration names: this machine "+
		"does not have that address, or cannot use it to go there", f.from)
}

// dial opens a connection to an address, from where the plan says.
func (d *Deliverer) dial(ctx context.Context, plan *route.Plan, to netip.AddrPort) (net.Conn, error) {
	from := plan.Manner.Source.For(to.Addr())
	if !from.IsValid() {
		return d.cfg.Dialer.DialContext(ctx, "tcp", to.String())
	}
	if d.cfg.From == nil {
		return nil, &sourceFault{from}
	}
	nc, err := d.cfg.From(from).DialContext(ctx, "tcp", to.String())
	if ofSource(err) {
		return nil, &sourceFault{from}
	}
	return nc, err
}

// ofSource reports whether a connection failed for the address that it was to come from: one that this machine does not
// have, or, as with a loopback address towards the world, one that does not lead there.
func ofSource(err error) bool {
	call, ok := errors.AsType[*os.SyscallError](err)
	return ok && (call.Syscall == "bind" || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EINVAL))
}

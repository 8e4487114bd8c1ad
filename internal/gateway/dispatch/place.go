package dispatch

import (
	"context"
	"hash/maphash"
	"io"
	"net/netip"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/queue/schedule"
)

// origin says who a message is from, for the schedule: whose turn it is, and whether it is a report. A report is what
// nobody wants an answer to: our own notices, and mail from the null sender, which others' servers write. Where it goes
// was chosen by whoever named the sender.
func (d *Dispatcher) origin(m *queue.Message) schedule.Origin {
	from := m.Envelope.From
	o := schedule.Origin{Report: m.Kind == queue.DSN || m.Kind == queue.Delay || m.Kind == queue.Report ||
		m.Kind == queue.Ordinary && from.IsNull()}
	submitter := m.Inbound.User
	if submitter == "" {
		submitter = m.Inbound.Client.String() + " " + sender(from)
	}
	o.Lane = max(uint32(maphash.String(d.lanes, submitter)), 1)
	return o
}

// sender is an address without what makes one of its own for each message (VERP, BATV and the like).
func sender(a mail.Address) string {
	if a.IsNull() {
		return ""
	}
	local, domain, _ := strings.Cut(a.Folded(), "@")
	if i := strings.IndexAny(local, "+=-"); i > 0 {
		local = local[:i]
	}
	return local + "@" + domain
}

// dismiss ends a run because others need its place: at once if it lingers, else by ending its time for the network. The
// caller holds Dispatcher.mu.
func (r *run) dismiss(lingers bool) {
	if !lingers {
		r.cut(context.DeadlineExceeded)
		return
	}
	select {
	case r.enough <- struct{}{}:
	default: // told already
	}
}

// schedule tells the scheduler something, and has the loop look what follows from it.
func (r *run) schedule(tell func(s *schedule.Scheduler, now time.Time)) {
	d := r.d
	d.mu.Lock()
	tell(d.sched, d.now())
	d.mu.Unlock()
	d.reschedule()
}

// placed tells the scheduler what was claimed. False means that there is no place for it now.
func (r *run) placed(works []queue.Work, full bool) (ok bool) {
	var o schedule.Origin
	for i := range works {
		if each := r.d.origin(&works[i].Message); i == 0 || o.Report && !each.Report {
			o = each
		}
	}
	r.schedule(func(s *schedule.Scheduler, now time.Time) { ok = s.Claimed(r.place, full, o, now) })
	return ok
}

// enter asks whether one more may wait for a destination with these names.
func (r *run) enter(names ...string) bool {
	d := r.d
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sched.Enter(r.place, names...)
}

// admit asks it for an address that is about to be dialled.
func (r *run) admit(host mail.Domain, addr netip.Addr) bool {
	return r.enter(destination(host, addr)...)
}

// joined tells where the channel leads to.
func (r *run) joined() {
	host, addr := r.channel.Peer()
	r.schedule(func(s *schedule.Scheduler, _ time.Time) { s.Joined(r.place, destination(host, addr)...) })
}

// destination names what is one and the same to whoever waits for it: the address, of IPv6 the network of a customer,
// and the host.
func destination(host mail.Domain, addr netip.Addr) []string {
	at := addr.WithZone("").String()
	if addr.Is6() && !addr.Is4In6() {
		if p, err := addr.WithZone("").Prefix(64); err == nil {
			at = p.String()
		}
	}
	if host.IsZero() {
		return []string{at}
	}
	return []string{at, host.String()}
}

// progress tells that the peer has answered for a message.
func (r *run) progress(m *queue.Message) {
	report := r.d.origin(m).Report
	r.schedule(func(s *schedule.Scheduler, now time.Time) { s.Progress(r.place, true, report, now) })
}

// ending tells that the end of a message is about to be sent: from then on the place is not taken away.
func (r *run) ending() {
	d := r.d
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sched.Sent(r.place)
}

// A peer takes content fast enough that takes a piece within the time a place is held quickly.
const piece = 256 << 10

// watched is a content that tells the schedule how it goes out.
type watched struct {
	io.ReadSeeker
	r    *run
	left int
}

func (r *run) watched(body io.ReadSeeker) io.ReadSeeker { return &watched{body, r, piece} }

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadSeeker.Read(p)
	if w.left -= n; w.left <= 0 {
		w.left = piece
		d := w.r.d
		d.mu.Lock()
		d.sched.Moving(w.r.place, d.now())
		d.mu.Unlock()
	}
	return n, err
}

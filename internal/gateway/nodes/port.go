package nodes

import (
	"context"
	"errors"
	"time"
)

// ErrEnded: the lease had ended before it was to be prolonged.
var ErrEnded = errors.New("the lease of this gateway has ended")

// ErrOutdated: a newer release has changed what is stored so that this one must not go on.
var ErrOutdated = errors.New("this gateway is too old for what a newer release has made of the store")

// Registry is where the gateways of one store find each other. Safe for concurrent use. All times are by the clock of
// the store, and of PostgreSQL that is clock_timestamp(): now() stands still within a transaction. Each method is one
// statement or one transaction of its own, over a connection that serves nothing else, so that a full pool costs no
// gateway its lease.
//
// What an adapter needs is three tables:
//
//	node (session primary key, name, release, api, joined, lease, renewed, until, rules, number, latency, held)
//	mark (one row: number), beside the revisions of the rules
//	turn (name primary key, session or null, since, until)
//
// What the acceptance of mail owes to this: its transaction ends with no effect, and the client hears 451, unless the
// node of the session that accepts has until > clock_timestamp(). It reads one row and locks none. Asked in the
// statement that inserts, it also holds a process which was frozen between its judgement and its commit. This is enough
// because a lease that ended is never prolonged unnoticed: between its end and the next beginning the gateway has
// waited for everything it was about to accept. So no such transaction may take for ever.
type Registry interface {
	// Renew prolongs the lease of a session to r.Lease from now and stores what r says. When that is there for all to
	// see, it reads what is newest, and who lives. A lease that has ended, or that nobody knows, is not prolonged:
	// ErrEnded, and nothing changes, unless r.Anew is set (update ... where until > clock_timestamp() or $anew). What
	// it stores of InForce is never lower than before. At the beginning of a session it deletes nodes whose lease ended
	// more than Forgotten ago, and those of the same name that are gone. It answers ErrOutdated to a release that must
	// not go on.
	Renew(ctx context.Context, r Report) (Answer, error)
	// Leave ends the lease of a session at once: it has stopped in order, and does nothing more.
	Leave(ctx context.Context, session string) error
	// Nodes lists every node with the time of the store, in order of name, then of joining.
	Nodes(ctx context.Context) (Roll, error)
	// Raise makes the newest mark at least m. Its Rules need not be stored: they are the newest revision. Where the
	// store can, it tells all gateways at once (NOTIFY after the commit), who then call Node.Poke.
	Raise(ctx context.Context, m Mark) error

	// Take gives the turn of t.Name to t.Session for t.For, or prolongs it, and returns 0. Where another has it, or it
	// rests, nothing changes and the answer is for how long still. Of two who ask at once one gets it (insert ... on
	// conflict do update ... where until <= clock_timestamp() or session = $2, or it rests, t.Wake is set and since is
	// earlier than WakeAfter ago).
	Take(ctx context.Context, t Turn) (wait time.Duration, err error)
	// Rest has a turn rest for t.For: nobody has it, and nobody gets it before. It changes nothing where another
	// session has it, or where it rests already.
	Rest(ctx context.Context, t Turn) error
	// Drop removes a turn, whoever has it. It tells all gateways at once where the store can.
	Drop(ctx context.Context, name string) error
	// Turns returns, of the names, those of which there is a turn, with for how long still nobody can take it: 0 where
	// that is over.
	Turns(ctx context.Context, names []string) (map[string]time.Duration, error)
}

// Forgotten is how long a node is listed after its lease has ended.
const Forgotten = 24 * time.Hour

// WakeAfter is how long a turn must have rested before Turn.Wake ends that. Somebody who has all gateways try a site at
// once has it tried by one of them.
const WakeAfter = 5 * time.Second

// Mark names what mail is judged by. The zero Mark is nothing.
type Mark struct {
	Rules  int64 // revision of the rules
	Number int64 // of the inforce.View
}

// Reaches reports whether m is at least o.
func (m Mark) Reaches(o Mark) bool { return m.Rules >= o.Rules && m.Number >= o.Number }

// Max is the higher of both in each part.
func (m Mark) Max(o Mark) Mark { return Mark{max(m.Rules, o.Rules), max(m.Number, o.Number)} }

// Report is what a gateway says of itself with each renewal.
type Report struct {
	// Session differs for every process that ever ran; Name is what people call it, and two may be called the same.
	Session, Name string
	Release       string
	API           string // address of its API and console; "" has none
	Lease         time.Duration
	// Anew begins the lease again where it has ended: nothing is under way that was begun under the old one.
	Anew bool
	// InForce is what it acknowledges: nothing is judged by less any more.
	InForce Mark
	// Latency is how long the last renewal took, 0 before the second.
	Latency time.Duration
	// Held is how many deliveries it has claimed.
	Held int
}

// Answer is what a gateway hears.
type Answer struct {
	Now    time.Time // of the store
	Newest Mark      // the newest revision of the rules, and the highest number that was raised
	// Live is how many nodes have a lease that runs, Rank how many of them have a lower session, byte by byte.
	Live, Rank int
}

// Roll is every node at a moment of the store.
type Roll struct {
	Now   time.Time
	Nodes []Entry
}

// Entry is one node as the store has it.
type Entry struct {
	Report
	Joined, Renewed, Until time.Time
}

// Turn is the right of one session to do something that one does for all. Session is "" where nobody has it and it
// rests.
type Turn struct {
	Name, Session string
	For           time.Duration
	// Wake asks for a turn that rests, because somebody says so.
	Wake bool
}

package queue

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"postern/internal/attempt"
	"postern/internal/mail"
	"postern/internal/policy"
)

// Errors of a Store. Callers branch on them with errors.Is.
var (
	// ErrStaleLease: a settlement came under a lease that is no longer held; the whole batch was refused (G4).
	ErrStaleLease = errors.New("queue: the lease is no longer held")
	// ErrNewerForm: the data was written by a newer release (G6).
	ErrNewerForm = errors.New("queue: the stored data has a newer form than this release knows")
	// ErrFull: there is no room to store the message; the peer hears 452 4.3.1.
	ErrFull = errors.New("queue: no space left to store mail")
	// ErrBroken: an earlier write could not be made durable; the handle accepts nothing more.
	ErrBroken = errors.New("queue: the store failed to make data durable and must be reopened")
	// ErrNotFound: no such message, or its body is gone.
	ErrNotFound = errors.New("queue: not found")
	// ErrDamaged: something that was stored is missing or is not what was stored.
	ErrDamaged = errors.New("queue: the stored data is damaged")
	// ErrAway: a body that is open cannot be read further now, because the database went away.
	ErrAway = errors.New("queue: the content cannot be read now")
	// ErrNoDatabase: it could not be reached, or went away meanwhile.
	ErrNoDatabase = errors.New("the database cannot be reached now")
	// ErrUnknown: the database went away while it was told to store this, and could not be asked in time whether it
	// did. Whoever handed the message in may try again and must not be told that it is stored.
	ErrUnknown = errors.New("queue: whether the change was stored is not known")
	// ErrClosed: what every method answers after Close.
	ErrClosed = errors.New("queue: the store is closed")
	// ErrInUse: another process has the store open.
	ErrInUse = errors.New("queue: the store is in use by another process")
	// ErrMoved: everything in the store was moved into another, or is being moved (see storecopy). ErrUnfinished: not
	// everything is in it yet.
	ErrMoved      = errors.New("queue: the store was moved away")
	ErrUnfinished = errors.New("queue: the store is an unfinished copy")
)

// Store keeps mail. All methods are safe for concurrent use; the law of the package comment holds for each.
// Times are arguments, a store has no clock; it keeps them to the microsecond, in UTC (see Kept). There are two engines
// and one reference model, all under storetest.
type Store interface {
	// NewDraft begins a body. A body up to some size stays in memory, a larger one goes to where it will stay.
	NewDraft(ctx context.Context) (Draft, error)
	// Accept makes one message with its deliveries durable (G1). On success the store owns the Body; on error the
	// caller still discards it. Deliveries get their IDs, the message its Size from the body.
	Accept(ctx context.Context, s *Submission) error
	// Claim leases deliveries to a worker: state Sending until c.Until. Order: by Due, a message's deliveries together;
	// one accepted a moment ago may be passed over when c.Limit is reached without it. A store that accepts mail under
	// a lease already hands that on, while more than half of it is left, however it stands to c.Until.
	Claim(ctx context.Context, c Claim) ([]Work, error)
	// Settle ends leases: records attempts, moves to the next states, queues new messages, and keeps the site's state,
	// all in one transaction or not at all (G3). It fails whole with ErrStaleLease if one lease is not held (G4). It
	// fills in Became and Wished of the settlements.
	Settle(ctx context.Context, b Batch) error
	// Extend prolongs leases still held; ErrStaleLease if one is not.
	Extend(ctx context.Context, leases []Lease, until time.Time) error
	// Open opens the body of a message, ErrNotFound when it is gone with the message's end. Size is Message.Size. A
	// body that is not what was stored is never given out: ErrDamaged.
	Open(ctx context.Context, id ID) (io.ReadSeekCloser, error)
	// Sites lists the sites that have waiting deliveries or a row of failures; one pass, for start.
	Sites(ctx context.Context) ([]Site, error)
	// TookMail returns the sites that a delivery of ordinary mail, not from the null sender, ended delivered at since a
	// time, with the newest such time, as far as the newest deliveries up to limit tell; for start.
	TookMail(ctx context.Context, since time.Time, limit int) (map[SiteKey]time.Time, error)
	// List yields records newest acceptance first. The body of the loop must not call the store.
	List(ctx context.Context, f Filter) iter.Seq2[Record, error]
	// Act is an administrator's change of states; it returns the sites touched, how many deliveries changed, and which
	// will when their leases end.
	Act(ctx context.Context, a Action) (Acted, error)
	// Wished returns those of the deliveries of which a Hold or a Cancel is wished that was not carried out yet, in
	// order. It is asked before each message is sent, and so costs little.
	Wished(ctx context.Context, ids []DeliveryID) ([]DeliveryID, error)
	// Purge deletes up to limit finished messages all of whose deliveries ended before the time, and what no row refers
	// to any more. It returns how many it deleted; callers repeat until 0, pausing so that mail is never stalled.
	Purge(ctx context.Context, before time.Time, limit int) (int, error)
	// Stats counts deliveries by state and bytes of waiting bodies.
	Stats(ctx context.Context) (Stats, error)
	// Close waits for running calls and releases the data.
	Close() error
}

// Draft is a body being written. Exactly one of passing it to Accept or Settle (and that succeeding) or Discard ends
// it. Not safe for concurrent use.
type Draft interface {
	io.Writer
	// Size is the bytes written so far.
	Size() int64
	// Discard removes what was written. It may be called after a successful Accept, and then does nothing.
	Discard() error
}

// Submission is a message to be stored.
type Submission struct {
	Message    Message
	Deliveries []NewDelivery
	Body       Draft
}

// NewDelivery is a delivery to be stored. Delivery.Site is ignored; the site is NextHop under Delivery.Requirement and
// is created when it does not exist. A zero State means Queued.
type NewDelivery struct {
	Delivery
	NextHop string
}

// Lease is the right to settle one delivery. Token differs for every claim.
type Lease struct {
	Delivery DeliveryID
	Token    int64
}

// Claim says what to lease. Exactly one of Site, Overdue and IDs selects.
type Claim struct {
	// Site claims what waits at one site: state Queued, or Held with a planned Due, and Due not after Now (see Takes).
	Site SiteKey
	// Overdue claims deliveries at any site whose Deadline is not after Now (see Takes).
	Overdue bool
	// IDs claims these, if they are Queued or Held, whatever their Due.
	IDs []DeliveryID
	// Worker names who asks, for people who look at leases.
	Worker     string
	Now, Until time.Time
	// Beyond claims by site and Overdue also take what is due after it: the clock stood later when that was planned.
	// Zero means none.
	Beyond time.Time
	// Limit bounds the deliveries returned; 0 means 100. A message's deliveries at one site may exceed it by none.
	Limit int
}

// Work is a claimed delivery with its message. Was is the state it had before (Queued or Held). SiteState is the site's
// stored state, so that a deadline can be judged by what the site last failed with.
type Work struct {
	Delivery
	Message   Message
	Lease     Lease
	Was       State
	NextHop   string
	SiteState SiteState
}

// Batch is one transaction of Settle.
type Batch struct {
	Settlements []Settlement
	New         []*Submission // DSNs and notices
	// Sites replaces the stored state of these sites; Key must exist.
	Sites map[SiteKey]SiteState
	Now   time.Time
}

// Settlement ends one lease. The zero Due and Deadline mean none.
type Settlement struct {
	Lease Lease
	// State is Queued, Held, Delivered, Failed or Cancelled.
	State         State
	Due, Deadline time.Time
	// Attempt is recorded and counted when not nil.
	Attempt *attempt.Attempt
	Reached policy.Level
	Reason  policy.Reason
	Noticed bool // once true it stays
	// Move puts the delivery at another site, with what follows from that; nil leaves it.
	Move *Move

	// Became is the state afterwards, which is not State where a wish was carried out; Wished is what stood against the
	// delivery until then, nil for nothing. Both are filled in by Settle.
	Became State
	Wished *Wish
}

// Move is a change of next hop or requirement.
type Move struct {
	NextHop     string
	Requirement policy.Requirement
	Demands     []policy.Demand // the requirement by who demands it
	Rules       []string
	Matched     bool
	ExpiresAt   time.Time // zero leaves it
	// Judged is the number of what the requirement was judged by; 0 leaves that of the delivery.
	Judged int64
	// Effects replace those of the delivery, where it takes another way that a rule ordered; nil leaves them.
	Effects policy.Effects
}

// Record is one delivery with its message, as trace and queue list show it. For a waiting delivery that was never tried
// itself SiteState.Last tells why it waits.
type Record struct {
	Delivery
	Message   Message
	NextHop   string
	SiteState SiteState
}

// Filter selects records; the zero Filter selects all. Text fields match as written in design.md §7: patterns with *
// and ?.
type Filter struct {
	IDs       []ID
	States    []State
	Sender    string // pattern on the sender's canonical address, or a domain
	Recipient string // pattern on the recipient's canonical address, or a domain
	Domain    string // recipient domain, exact
	MessageID string // exact Message-ID, with or without angle brackets
	Reason    policy.Reason
	Rule      string
	Site      SiteKey
	// Scope, when not nil, are domains of which one must be the sender's or the recipient's; an empty one selects
	// nothing.
	Scope       []mail.Domain
	Since       time.Time  // accepted at or after
	Until       time.Time  // accepted before
	JudgedBelow int64      // if > 0: deliveries last judged under a lower number
	After       DeliveryID // continue below this delivery (cursor); 0 from the newest
	Limit       int        // 0 means no limit
	// Look bounds how many messages are looked at where no index tells which to take; 0 means no bound. A List that
	// ends for that reason ends with *Unfinished.
	Look int
	// Brief leaves the records' History out, which costs most of reading them.
	Brief bool
}

// AllWaiting selects every delivery that is not finished.
func AllWaiting() Filter { return Filter{States: []State{Queued, Sending, Held}} }

// Unfinished ends a List that looked at as many messages as it was to. A List with After goes on where it stopped;
// AcceptedAt is when the last message looked at was accepted, zero where that is not known.
type Unfinished struct {
	After      DeliveryID
	AcceptedAt time.Time
}

// Error says that there is more.
func (u *Unfinished) Error() string { return "queue: the search ended before its end" }

// ActionKind is what an administrator does to waiting mail.
type ActionKind string

// The actions. Retry makes due now; Hold keeps until released; Release undoes Hold; Cancel ends without a DSN.
const (
	Retry   ActionKind = "retry"
	Hold    ActionKind = "hold"
	Release ActionKind = "release"
	Cancel  ActionKind = "cancel"
)

// Action is an administrator's change. A delivery is chosen when any selector names it; empty selectors choose
// everything that waits. Of deliveries under a lease that runs at Now it is wished (see Ask), except that Retry resets
// their sites. An action on very many deliveries may be done in steps. What is accepted after the call may be left out.
type Action struct {
	Kind     ActionKind
	Domains  []string // recipient domains
	Messages []ID
	Sites    []SiteKey
	Now      time.Time
	By       string
	// KeepHolds has Retry leave a Hold alone that is wished, as it leaves what is held.
	KeepHolds bool
}

// Acted is what an Action did.
type Acted struct {
	// Changed counts the deliveries that are as the action wants them; a wish that was undone is one.
	Changed int
	Sites   []SiteKey
	// Pending are the deliveries that are being sent and change when that ends, if they are not delivered by it; in
	// order.
	Pending []Pending
}

// Pending names a delivery of which something is wished.
type Pending struct {
	Delivery DeliveryID
	Message  ID
}

// Stats counts.
type Stats struct {
	States    map[State]int64
	BodyBytes int64
	Oldest    time.Time // acceptance of the oldest waiting delivery
}

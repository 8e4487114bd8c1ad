package intake

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"postern/internal/event"
)

// Clients remembers how our own clients, those who may relay, hand mail in: with TLS or without. It makes two things
// known, each once a day and client: mail that rules force onward came without TLS, and a client that always had TLS
// has none. It refuses nothing.
//
// A client had always TLS if it had it within 30 days and no message of it came without in that time. So two programs
// at one address, one with and one without, are told of once and not each day. At most 10,000 clients are remembered;
// when there are more, those that were silent for longest are forgotten. Safe for concurrent use; best one for the life
// of the process.
type Clients struct {
	mu    sync.Mutex // guards known
	known map[netip.Addr]*client
}

// client is what is remembered of an address. Zero times are never.
type client struct {
	lastTLS, lastPlain time.Time
	forced             Forced
	told               time.Time // of forced mail
}

// Forced is the mail that rules force onward which a client handed in without TLS.
type Forced struct {
	Client      netip.Addr
	Since, Last time.Time
	Messages    int64  // since Since
	Message     string // the last one's id
	Rules       []string
}

const (
	maxClients      = 10_000
	clientMemory    = 30 * 24 * time.Hour
	clientTellPause = 24 * time.Hour
)

// NewClients returns a memory without clients.
func NewClients() *Clients { return &Clients{known: map[netip.Addr]*client{}} }

// handIn is one message that one of our own clients handed in.
type handIn struct {
	at             time.Time
	client         netip.Addr
	tls            bool
	helo, listener string
	message        string
	rules          []string // that force it onward
}

// heard takes a message and returns what should be known.
func (c *Clients) heard(h *handIn) (news []event.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.known[h.client]
	if k == nil {
		c.makeRoom()
		k = &client{}
		c.known[h.client] = k
	}
	if h.tls {
		k.lastTLS = h.at
		return nil
	}
	tell := func(kind event.ClientKind) {
		news = append(news, event.ClientPlain{Kind: kind, Client: h.client, Helo: h.helo, Listener: h.listener,
			Message: h.message, Rules: h.rules, LastTLS: k.lastTLS})
	}
	if lately(k.lastTLS, h.at) && !lately(k.lastPlain, h.at) {
		tell(event.ClientLostTLS)
	}
	k.lastPlain = h.at
	if len(h.rules) == 0 {
		return news
	}
	if k.forced.Since.IsZero() || !lately(k.forced.Last, h.at) {
		k.forced = Forced{Client: h.client, Since: h.at}
	}
	k.forced.Last, k.forced.Message, k.forced.Rules = h.at, h.message, h.rules
	k.forced.Messages++
	if k.told.IsZero() || h.at.Sub(k.told) >= clientTellPause {
		k.told = h.at
		tell(event.ClientForced)
	}
	return news
}

func lately(at, now time.Time) bool { return !at.IsZero() && now.Sub(at) <= clientMemory }

// makeRoom forgets a tenth, so that this is done seldom. The caller holds mu.
func (c *Clients) makeRoom() {
	if len(c.known) < maxClients {
		return
	}
	type silent struct {
		ip netip.Addr
		at time.Time
	}
	all := make([]silent, 0, len(c.known))
	for ip, k := range c.known {
		at := k.lastTLS
		if k.lastPlain.After(at) {
			at = k.lastPlain
		}
		all = append(all, silent{ip, at})
	}
	slices.SortFunc(all, func(a, b silent) int { return a.at.Compare(b.at) })
	for _, s := range all[:len(all)/10+1] {
		delete(c.known, s.ip)
	}
}

// Forced lists the clients that handed in, after since, mail without TLS that rules force onward; the newest first.
func (c *Clients) Forced(since time.Time) []Forced {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Forced
	for _, k := range c.known {
		if k.forced.Last.After(since) {
			f := k.forced
			f.Rules = slices.Clone(f.Rules)
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b Forced) int { return cmp.Or(b.Last.Compare(a.Last), a.Client.Compare(b.Client)) })
	return out
}

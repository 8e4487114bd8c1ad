package ram

const (
	kib = 1 << 10
	mib = 1 << 20
)

// What things cost in memory, the collector's headroom and the kernel's part included. Tests in test/endurance measure
// with the real binary.
const (
	outbound = 64 * kib // a connection to another server
	hash     = 20 * mib // a password being hashed
	program  = 32 * mib // as it starts, with what it remembers of servers and sums, and rules of ordinary size

	fewestSessions = 64
)

// Wishes are the numbers of a configuration. Zero of the first group means that it follows the memory there is.
type Wishes struct {
	Memory, Content, Young int64

	Sessions, Outbound int   // at a time
	Session            int64 // what one may cost
	Admin              int64 // what the admin port may cost
}

// Plan is who may take how much. Sizes are bytes of memory, headroom included, unless said otherwise.
type Plan struct {
	Whole Found

	Content int64 // buffers, drafts and headers of content that is coming in, as such; it costs a quarter more
	Young   int64 // mail of the last seconds, as such; at most twice of it is held
	Cache   int64 // of the store's writer, as such; its readers have half as much together
	Lists   int64 // revocation lists, as such
	Domains int64 // what is known of policies of recipient domains, as such
	Hashes  int   // passwords at a time
	Admin   int64

	Sessions    int   // at a time, at their highest cost: what the wish and the memory allow
	SessionRoom int64 // what they may cost together
	Outbound    int   // connections at a time
	// Wanted is what the sessions the configuration names would cost, Total what everything may cost at most.
	Wanted, Total int64
	// Over is by how much Total is above Whole, 0 where it fits or nobody knows.
	Over int64
}

// Make plans.
func Make(w Wishes, found Found) Plan {
	if w.Memory > 0 {
		found = Found{w.Memory, "limits.memory"}
	}
	p := Plan{Whole: found, Admin: w.Admin, Outbound: w.Outbound}
	whole := found.Bytes
	if whole == 0 {
		whole = 1 << 40 // nobody knows: the largest of everything
	}
	p.Content = follow(w.Content, whole/16, 4*mib, 128*mib)
	p.Young = follow(w.Young, whole/32, 2*mib, 32*mib)
	p.Cache = follow(0, whole/24, 2*mib, 32*mib)
	p.Lists = follow(0, whole/16, 8*mib, 64*mib)
	p.Domains = follow(0, whole/64, mib, 32*mib)
	p.Hashes = int(follow(0, whole/12/hash, 1, 4))
	others := p.others()
	p.Wanted = int64(w.Sessions) * w.Session
	p.SessionRoom = min(p.Wanted, max(whole-others, fewestSessions*w.Session))
	p.Sessions = int(p.SessionRoom / w.Session)
	p.Total = others + p.SessionRoom
	if found.Bytes > 0 {
		p.Over = max(p.Total-found.Bytes, 0)
	}
	return p
}

// others is what everything but sessions may cost.
func (p *Plan) others() int64 {
	return program + p.Content/4*5 + 2*p.Young + p.Cache/2*3 + p.Lists/4*5 + p.Domains/4*5 +
		int64(p.Hashes)*hash + p.Admin + p.OutboundCost()
}

// OutboundCost is what connections to other servers may cost together.
func (p *Plan) OutboundCost() int64 { return int64(p.Outbound) * outbound }

// follow is wish where there is one, else share within bounds.
func follow(wish, share, least, most int64) int64 {
	if wish > 0 {
		return wish
	}
	return min(max(share, least), most)
}

// GoLimit is the soft limit for the Go runtime: Total without what it does not manage, which is the program's own
// pages, the store's caches and the kernel's part of connections.
func (p *Plan) GoLimit() int64 {
	const pages, socket, least = 24 * mib, 6 * kib, 48 * mib
	return max(p.Total-pages-p.Cache/2*3-int64(p.Sessions)*socket, least)
}

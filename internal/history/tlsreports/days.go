package tlsreports

import (
	"cmp"
	"slices"
	"strings"

	"postern/internal/history/inbound"
)

// DaySum is what a sender reported of a day. The names of its fields stay for ever.
type DaySum struct {
	Day       string `json:"day"` // on which its reports begin, UTC; "" where they do not say
	Sender    string `json:"sender"`
	Signed    bool   `json:"signed"`
	Reports   int    `json:"reports"`
	Succeeded int64  `json:"succeeded"`
	Failed    int64  `json:"failed"`
}

// Days adds reports up by day and sender, the newest day first. Those that nobody signed stand by themselves.
func Days(reports []Received) (out []DaySum) {
	type key struct {
		day, sender string
		signed      bool
	}
	at := map[key]int{}
	for i := range reports {
		r := &reports[i]
		k := key{sender: r.Sender(), signed: r.Signed()}
		if !r.Start.IsZero() {
			k.day = inbound.DayOf(r.Start)
		}
		n, there := at[k]
		if !there {
			n = len(out)
			at[k], out = n, append(out, DaySum{Day: k.day, Sender: k.sender, Signed: k.signed})
		}
		succeeded, failed := r.Sums()
		out[n].Reports++
		out[n].Succeeded, out[n].Failed = out[n].Succeeded+succeeded, out[n].Failed+failed
	}
	slices.SortFunc(out, func(a, b DaySum) int {
		return cmp.Or(strings.Compare(b.Day, a.Day), cmp.Compare(b.Failed, a.Failed),
			strings.Compare(a.Sender, b.Sender))
	})
	return out
}

package tlsreports

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/internal/history/inbound"
)

// Failing is a sender that could not reach us over TLS, for one result. The names of its fields stay for ever.
type Failing struct {
	// Sender is the signer where Signed, else what the reports claim.
	Sender string `json:"sender"`
	Signed bool   `json:"signed"`
	Result string `json:"result"`
	// Since and Until are the time of its reports, Sessions how many failed in all of them.
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Sessions int64     `json:"sessions"`
	Reports  int       `json:"reports"`
	// Domains are those of ours that it is about, Codes the sender's own reasons, Hosts our mail hosts that it names;
	// ten at most.
	Domains []string `json:"domains"`
	Codes   []string `json:"codes"`
	Hosts   []string `json:"hosts"`
	// Addresses are the sender's, ten at most; MoreAddresses says that there are more.
	Addresses     []string `json:"addresses"`
	MoreAddresses bool     `json:"more_addresses,omitempty"`
	// Saw is what we saw of each address in this time.
	Saw []Sight `json:"saw"`
}

const (
	failingMost = 100 // rows
	listMost    = 10  // of each list in one
)

// Who makes the rows of reports, those with the newest failure first. more says that there are further rows.
func Who(reports []Received) (out []Failing, more bool) {
	type key struct {
		sender, result string
		signed         bool
	}
	rows := map[key]*Failing{}
	for i := range reports {
		r := &reports[i]
		counted := map[string]bool{}
		for _, p := range r.Parts {
			for _, f := range p.Failures {
				row := rows[key{r.Sender(), f.Result, r.Signed()}]
				if row == nil {
					row = &Failing{Sender: r.Sender(), Signed: r.Signed(), Result: f.Result, Since: r.Start,
						Until:   r.End,
						Domains: []string{}, Codes: []string{}, Hosts: []string{}, Addresses: []string{},
						Saw: []Sight{}}
					rows[key{r.Sender(), f.Result, r.Signed()}] = row
				}
				row.add(&p, &f)
				if !counted[f.Result] {
					counted[f.Result] = true
					row.in(r)
				}
			}
		}
	}
	for _, row := range rows {
		out = append(out, *row)
	}
	slices.SortFunc(out, func(a, b Failing) int {
		return cmp.Or(b.Until.Compare(a.Until), cmp.Compare(b.Sessions, a.Sessions),
			strings.Compare(a.Sender, b.Sender), strings.Compare(a.Result, b.Result))
	})
	if len(out) > failingMost {
		return out[:failingMost], true
	}
	return out, false
}

// in widens the time by that of a report.
func (f *Failing) in(r *Received) {
	f.Reports++
	if !r.Start.IsZero() && (f.Since.IsZero() || r.Start.Before(f.Since)) {
		f.Since = r.Start
	}
	if r.End.After(f.Until) {
		f.Until = r.End
	}
}

func (f *Failing) add(p *Part, of *Failure) {
	f.Sessions += of.Sessions
	note(&f.Domains, p.Domain)
	note(&f.Codes, of.Code)
	note(&f.Hosts, of.Host)
	f.MoreAddresses = note(&f.Addresses, of.Address) || f.MoreAddresses
}

// note adds what is new to a list, and reports that it has no room.
func note(list *[]string, text string) (full bool) {
	if text == "" || slices.Contains(*list, text) {
		return false
	}
	if len(*list) >= listMost {
		return true
	}
	*list = append(*list, text)
	return false
}

// Clients are those that rows and failures speak of, each once, up to a number.
func Clients(addresses []string, most int) (out []netip.Prefix) {
	for _, text := range addresses {
		at, err := netip.ParseAddr(text)
		if err != nil {
			continue
		}
		if client := inbound.Of(at); !slices.Contains(out, client) && len(out) < most {
			out = append(out, client)
		}
	}
	return out
}

package check

import (
	"net/netip"
	"testing"

	"postern/internal/policy"
)

// published is a report of one host of which something is published.
func published(list ...policy.Published) *Report {
	h := Host{Name: "mx.x.test", Addresses: []Address{{IP: netip.MustParseAddr("192.0.2.1"), Verdicts: []Verdict{{Answered: true}}}}}
	for _, p := range list {
		h.Published = append(h.Published, Published{Published: p})
	}
	return &Report{Hosts: []Host{h}}
}

// What --watch tells is that something else is published, not that it was asked for again.
func TestAChangeOfWhatIsPublishedIsTold(t *testing.T) {
	dane := func(mode string, records ...string) policy.Published {
		return policy.Published{Kind: policy.PublishedDANE, Mode: mode, Source: "_25._tcp.mx.x.test", Records: records}
	}
	sts := func(mode, id string, hosts ...string) policy.Published {
		return policy.Published{Kind: policy.PublishedSTS, Mode: mode, ID: id, Hosts: hosts}
	}
	unknown := policy.Published{Kind: policy.PublishedDANE, Mode: policy.Enforced, Shortfalls: []policy.Shortfall{{Reason: policy.DNSServfail, Text: "?"}}}
	later := dane(policy.Enforced, "3 1 1 aa")
	later.AsOf = later.AsOf.AddDate(1, 0, 0)
	for _, c := range []struct {
		name          string
		before, after *Report
		what, is      string
	}{
		{"nothing, and asked again", published(dane(policy.Enforced, "3 1 1 aa")), published(later), "", ""},
		{"records in another order", published(dane(policy.Enforced, "3 1 1 aa", "3 1 1 bb")), published(dane(policy.Enforced, "3 1 1 bb", "3 1 1 aa")), "", ""},
		{"a new record", published(dane(policy.Enforced, "3 1 1 aa")), published(dane(policy.Enforced, "3 1 1 aa", "3 1 1 bb")), "mx.x.test published dane",
			"enforce _25._tcp.mx.x.test 3 1 1 aa, 3 1 1 bb"},
		{"no record any more", published(dane(policy.Enforced, "3 1 1 aa")), published(), "mx.x.test published dane", ""},
		{"nobody can tell", published(dane(policy.Enforced, "3 1 1 aa")), published(unknown), "mx.x.test published dane", "enforce not known: dns-servfail"},
		{"a policy becomes serious", published(sts(policy.Testing, "1", "mx.x.test")), published(sts(policy.Enforced, "2", "mx.x.test")), "mx.x.test published sts",
			"enforce 2 mx.x.test"},
		{"a policy without a new id", published(sts(policy.Enforced, "1", "mx.x.test")), published(sts(policy.Enforced, "1", "*.x.test")), "mx.x.test published sts",
			"enforce 1 *.x.test"},
	} {
		list := c.before.Features().Changes(c.after.Features())
		switch {
		case c.what == "" && len(list) > 0:
			t.Errorf("%s: %+v", c.name, list)
		case c.what != "" && (len(list) != 1 || list[0].What != c.what || list[0].After != c.is):
			t.Errorf("%s: %+v", c.name, list)
		}
	}
}

func TestREQUIRETLSCountsInsideTLSOnly(t *testing.T) {
	for _, c := range []struct {
		look Look
		want bool
	}{
		{Look{Inside: []string{"PIPELINING", "requiretls"}}, true},
		{Look{Inside: []string{"REQUIRETLSX"}}, false},
		{Look{Offered: []string{"REQUIRETLS"}, Inside: []string{"SIZE 1"}}, false},
		{Look{}, false},
	} {
		if got := c.look.RequireTLS(); got != c.want {
			t.Errorf("%+v: %v", c.look, got)
		}
	}
}

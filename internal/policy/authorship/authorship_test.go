package authorship

import (
	"fmt"
	"strings"
	"testing"

	"postern/internal/mail"
	"postern/internal/policy/pattern"
)

func TestWhoseMailAMessageIs(t *testing.T) {
	for _, c := range []struct {
		name, from, header string
		origin             Origin
		below, want        bool
		why                string
	}{
		{"the envelope sender", "ann@a.test", "", Origin{}, false, true, "the envelope sender ann@a.test"},
		{"another's", "ann@b.test", "Bob <bob@b.test>", Origin{}, false, false, "names it"},
		{"below it", "ann@x.a.test", "", Origin{}, false, false, "below = true would cover it"},
		{"below it, which is meant", "ann@x.a.test", "", Origin{}, true, true, "the envelope sender ann@x.a.test"},
		{"the author alone", "ann@b.test", "Ann <ann@a.test>", Origin{}, false, true, "the header from"},
		{"an address in a display name", "ann@b.test", `"ann@a.test" <ann@b.test>`, Origin{}, false, true, "the header from"},
		{"an author without a domain", "ann@b.test", "Ann <ann>", Origin{}, false, true, "counts as a match"},
		{"a forwarder's sender", "SRS0=hash=tt=a.test=ann@b.test", "", Origin{}, false, true, "which stands for a.test"},
		{"one for whom nobody can tell", "SRS0=hash@b.test", "", Origin{}, false, true, "nobody can tell"},
		{"the null sender", "", "", Origin{}, false, false, "nothing binds whoever handed in the null sender"},
		{"the null sender of a client that is bound", "", "", Origin{Senders: []string{"a.test"}}, false, true, "is bound to a.test"},
		{"the null sender of a user", "", "", Origin{User: "ann@a.test"}, false, true, "the user ann@a.test"},
		{"the null sender of a user without a domain", "", "", Origin{User: "ann"}, false, false, "nothing binds whoever handed in the null sender"},
		{"a backslash in a domain", "ann@b.test", `Ann <ann@a\.test>`, Origin{}, false, true, "the header from"},
		{"a domain in quotes beside another", "ann@b.test", `bob@b.test, ann@"a.test"`, Origin{}, false, true, "the header from"},
		{"one domain beside very many", "ann@b.test", many(maxLooked-1) + "ann@a.test", Origin{}, false, true, "the header from"},
		{"too many domains", "ann@b.test", many(maxLooked+1) + "ann@a.test", Origin{}, false, true, "from names more domains than are looked at"},
	} {
		from := mail.Address{}
		if c.from != "" {
			from = mail.MustAddress(c.from)
		}
		k := Of(from, &c.origin)
		if c.header != "" {
			k.Field("from", []pattern.Value{pattern.NewTextValue(c.header, 0)})
		}
		about := NewCondition([]mail.Domain{mail.MustDomain("a.test")}, c.below)
		if got := about.Match(k); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if why := about.Explain(k); !strings.Contains(why, c.why) {
			t.Errorf("%s: %q, want %q in it", c.name, why, c.why)
		}
		var ix Index
		ix.Add(about, 3)
		found := make(pattern.Candidates, 1)
		if ix.Find(k, found); c.want && !found.Has(3) {
			t.Errorf("%s: the index does not find the rule", c.name)
		}
	}
}

// many are addresses in so many domains.
func many(domains int) string {
	var out strings.Builder
	for i := range domains {
		fmt.Fprintf(&out, "x@d%d.test, ", i)
	}
	return out.String()
}

// TestAUserBindsTheNullSender: it is not said that nothing does.
func TestAUserBindsTheNullSender(t *testing.T) {
	about := NewCondition([]mail.Domain{mail.MustDomain("a.test")}, false)
	if why := about.Explain(Of(mail.Address{}, &Origin{User: "ann@a.test"})); strings.Contains(why, "nothing binds") {
		t.Errorf("%q", why)
	}
}

// TestNoHeaderCostsLong: where there are more domains than are looked at, in fields without number, they are counted
// once for the message.
func TestNoHeaderCostsLong(t *testing.T) {
	k := Of(mail.MustAddress("ann@b.test"), &Origin{})
	text := many(maxLooked / 2)
	for _, name := range []string{"from", "sender", "resent-from"} {
		var values []pattern.Value
		for i := range 5 {
			values = append(values, pattern.NewTextValue(strings.ReplaceAll(text, "@d", fmt.Sprintf("@%s%d", name, i)), 0))
		}
		k.Field(name, values)
	}
	if len(k.ties) > maxLooked+1 || len(k.doubts) != 3 {
		t.Errorf("%d ties, %d doubts", len(k.ties), len(k.doubts))
	}
}

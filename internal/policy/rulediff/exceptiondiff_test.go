package rulediff

import (
	"strings"
	"testing"
)

const withExceptions = `
[[rule]]
name = "clinic"
action = "force-tls"
match.recipient = ["broken.test"]

# their administrator is on leave
[[exception]]
domain  = "Broken.Test."
ignore  = ["sts", "dane", "sts"]
reason  = "ticket 4711"
expires = 2027-01-31

[[exception]]
domain  = "stale.test"
ignore  = ["dane"]
reason  = "records of the old key"
expires = 2026-12-01T12:00:00Z
`

func TestChangesOfExceptionsAreTold(t *testing.T) {
	first := withExceptions
	for _, c := range []struct {
		name, from, to string
		weaker         bool
		want           string // kind and name of the one change
	}{
		{"a new one", `domain  = "stale.test"`, `domain  = "new.test"`, true, ""},
		{"a later end", "expires = 2027-01-31", "expires = 2027-02-28", true, "changed [[exception]] broken.test"},
		{"an earlier end", "expires = 2027-01-31", "expires = 2027-01-30", false, "changed [[exception]] broken.test"},
		{"one kind more", `ignore  = ["dane"]`, `ignore  = ["dane", "sts"]`, true, "changed [[exception]] stale.test"},
		{"one kind less", `ignore  = ["sts", "dane", "sts"]`, `ignore  = ["sts"]`, false, "changed [[exception]] broken.test"},
		{"another reason", "ticket 4711", "ticket 4712", false, "changed [[exception]] broken.test"},
	} {
		changes := Diff(mustParse(t, first), mustParse(t, strings.Replace(first, c.from, c.to, 1)))
		weaker := false
		for _, change := range changes {
			weaker = weaker || change.Weaker
		}
		if weaker != c.weaker || c.want != "" && (len(changes) != 1 || string(changes[0].Kind)+" "+changes[0].Rule != c.want) {
			t.Errorf("%s: %+v", c.name, changes)
		}
	}
	none := Diff(mustParse(t, first), mustParse(t, first[:strings.Index(first, "# their")]))
	if len(none) != 2 || none[0].Kind != Removed || none[0].Weaker {
		t.Errorf("both removed: %+v", none)
	}
}

package rulediff

import (
	"strings"
	"testing"

	"postern/internal/policy/rules"
)

// clinics is a file with a list and two rules by it.
const clinics = `# partners
[[list]]
name = "clinics"
values = ["clinic.test", "*.clinic.test", "Dr@Other.test", "bücher.test"]

[[rule]]
name = "to clinics"
action = "force-tls"
[rule.match]
recipient = ["list:Clinics", "one.test"]

[[rule]]
name = "from clinics"
action = "force-tls"
[rule.match]
sender = ["list:clinics"]
`

func TestChangesOfLists(t *testing.T) {
	old := mustParse(t, clinics)
	for _, tt := range []struct {
		name, from, to string
		weaker         bool
	}{
		{"shorter", `"*.clinic.test", `, "", true},
		{"longer", `"bücher.test"`, `"bücher.test", "c.test"`, false},
		{"another order", `"clinic.test", "*.clinic.test"`, `"*.clinic.test", "clinic.test"`, false},
	} {
		changes := Diff(old, mustParse(t, strings.Replace(clinics, tt.from, tt.to, 1)))
		if tt.name == "another order" {
			if len(changes) != 0 {
				t.Errorf("%s: %+v", tt.name, changes)
			}
			continue
		}
		if len(changes) != 1 || changes[0].Rule != "[[list]] clinics" || changes[0].Weaker != tt.weaker {
			t.Errorf("%s: %+v", tt.name, changes)
		}
	}
	unused := mustParse(t, clinics+"\n[[list]]\nname = \"spare\"\nvalues = [\"x.test\"]\n")
	if c := Diff(old, unused); len(c) != 1 || c[0].Kind != Added || c[0].Weaker {
		t.Errorf("%+v", c)
	}
}

// TestWhatTheFileOfAListHeldIsCompared: values that a file brought are told like those in the rules.
func TestWhatTheFileOfAListHeldIsCompared(t *testing.T) {
	held := func(values string) *rules.Set {
		return mustParse(t, "[[list]]\nname = 'clinics'\nfile = 'clinics.txt'\n[[rule]]\nname = 'to clinics'\naction = 'force-tls'\n"+
			"match.recipient = ['list:clinics']\n[[content]]\nfile = 'clinics.txt'\nvalues = ["+values+"]\n")
	}
	changes := Diff(held("'a.test', 'b.test'"), held("'a.test', 'c.test'"))
	if len(changes) != 1 || !changes[0].Weaker || !strings.Contains(changes[0].Fields[0].After, "+ c.test; - b.test") {
		t.Errorf("%+v", changes)
	}
}

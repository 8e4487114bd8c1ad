package rulediff

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"postern/internal/policy/rules"
)

// ruled makes a set of rules, each "name recipient [description]".
func ruled(t *testing.T, list ...string) *rules.Set {
	t.Helper()
	var b strings.Builder
	for _, rule := range list {
		part := strings.Fields(rule)
		b.WriteString("[[rule]]\nname = '" + part[0] + "'\naction = 'force-tls'\n")
		if len(part) > 2 {
			b.WriteString("description = '" + part[2] + "'\n")
		}
		b.WriteString("match.recipient = ['" + part[1] + "']\n")
	}
	set, err := rules.Parse("test", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestARenamedRuleIsRecognisedByWhatItSays(t *testing.T) {
	for _, c := range []struct {
		what     string
		old, new []string
		sure     []Rename
		doubt    map[string][]string
		kinds    []ChangeKind
	}{
		{"nothing changed", []string{"a x.test"}, []string{"a x.test"}, nil, nil, nil},
		{"a name", []string{"a x.test", "b y.test"}, []string{"b y.test", "c x.test"}, []Rename{{"a", "c"}}, nil, []ChangeKind{Renamed}},
		{"name and description", []string{"a x.test old"}, []string{"c x.test new"}, []Rename{{"a", "c"}}, nil, []ChangeKind{Renamed}},
		{"the case of a name", []string{"a x.test"}, []string{"A x.test"}, []Rename{{"a", "A"}}, nil, []ChangeKind{Changed}},
		{"the case of a name and more", []string{"a x.test"}, []string{"A y.test"}, []Rename{{"a", "A"}}, nil, []ChangeKind{Changed}},
		{"two names", []string{"a x.test", "b y.test"}, []string{"c y.test", "d x.test"}, []Rename{{"a", "d"}, {"b", "c"}}, nil, []ChangeKind{Renamed, Renamed}},
		{"another rule", []string{"a x.test"}, []string{"c y.test"}, nil, nil, []ChangeKind{Removed, Added}},
		{"names changed places", []string{"a x.test", "b y.test"}, []string{"a y.test", "b x.test"}, nil, nil, []ChangeKind{Changed, Changed}},
		{"a copy", []string{"a x.test"}, []string{"a x.test", "c x.test"}, nil, nil, []ChangeKind{Added}},
		{"two that went are one now", []string{"a x.test", "b x.test"}, []string{"c x.test"}, nil,
			map[string][]string{"c": {"a", "b"}}, []ChangeKind{Removed, Removed, Added}},
		{"one that went is two now", []string{"a x.test"}, []string{"c x.test", "d x.test"}, nil,
			map[string][]string{"c": {"a"}, "d": {"a"}}, []ChangeKind{Removed, Added, Added}},
	} {
		old, next := ruled(t, c.old...), ruled(t, c.new...)
		sure, doubt := Renames(old, next)
		if !slices.Equal(sure, c.sure) || !maps.EqualFunc(doubt, c.doubt, slices.Equal) {
			t.Errorf("%s: %v, doubt %v", c.what, sure, doubt)
		}
		var kinds []ChangeKind
		for _, change := range Diff(old, next) {
			kinds = append(kinds, change.Kind)
			if change.Kind == Renamed && (change.Weaker || !strings.Contains(change.Note, "keeps the mail hosts")) {
				t.Errorf("%s: %+v", c.what, change)
			}
			if doubt[change.Rule] != nil && !strings.Contains(change.Note, "which is not known") {
				t.Errorf("%s: the doubt is not told: %+v", c.what, change)
			}
		}
		if !reflect.DeepEqual(kinds, c.kinds) {
			t.Errorf("%s: %v, want %v", c.what, kinds, c.kinds)
		}
	}
}

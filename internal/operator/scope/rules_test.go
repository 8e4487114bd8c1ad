package scope

import (
	"strings"
	"testing"

	"postern/internal/mail"
	"postern/internal/operator/access"
	"postern/internal/policy/rule"
)

// TestWhichRulesAreOfAScope: an account may write the rules of which every sender is in its domains, and is told of
// those about the mail of its domains besides. Why another is refused stands at the field that says so.
func TestWhichRulesAreOfAScope(t *testing.T) {
	asker := Asker{Principal: access.Principal{Scope: access.Scope{Domains: []mail.Domain{mail.MustDomain("home.test"), mail.MustDomain("house.test")}}}}
	for what, tt := range map[string]struct {
		senders, domains string
		below            bool
		field            string // that is refused; "": none
		hears            bool   // all the same
		says             string
	}{
		"a domain":                       {senders: "home.test"},
		"both":                           {senders: "home.test HOUSE.test. ann@home.test"},
		"everybody in it":                {senders: "*@home.test"},
		"some of it":                     {senders: `dr*@home.test "a@b"@home.test`},
		"nobody named":                   {field: "match.sender", says: "senders within home.test, house.test only"},
		"below":                          {senders: "home.test *.home.test", field: "match.sender", says: "*.home.test is not: what lies below"},
		"a name below":                   {senders: "sub.home.test", field: "match.sender", says: "sub.home.test is not"},
		"the null sender":                {senders: "home.test <>", field: "match.sender", says: "everybody's bounces"},
		"an expression":                  {senders: "re:@home.test", field: "match.sender", says: "may cover anybody"},
		"an expression that looks alike": {senders: "re:.|@home.test", field: "match.sender", says: "may cover anybody"},
		"a list":                         {senders: "list:near", field: "match.sender", says: "may cover anybody"},
		"a list that looks alike":        {senders: "list:x@home.test", field: "match.sender", says: "may cover anybody"},
		"everybody":                      {senders: "*", field: "match.sender"},
		"any domain":                     {senders: "x@*", field: "match.sender"},
		"domains that end so":            {senders: "*home.test", field: "match.sender"},
		"a literal":                      {senders: "x@[192.0.2.1]", field: "match.sender"},
		"the whole domain":               {domains: "home.test", field: "domain", hears: true, says: "by its header too"},
		"whole domains":                  {domains: "home.test house.test", field: "domain", hears: true},
		"the whole domain and below":     {domains: "home.test", below: true, field: "domain"},
		"another whole domain":           {domains: "home.test other.test", field: "domain"},
		"the whole domain, by a sender":  {senders: "home.test", domains: "home.test"},
		"the whole domain, by another":   {senders: "other.test", domains: "home.test", field: "match.sender"},
	} {
		r := rule.Default()
		r.Match.Sender, r.Below = strings.Fields(tt.senders), tt.below
		for name := range strings.FieldsSeq(tt.domains) {
			r.Domain = append(r.Domain, mail.MustDomain(name))
		}
		faults := asker.Beyond(&r)
		if tt.field == "" != (len(faults) == 0) || asker.Owns(&r) != (tt.field == "") {
			t.Errorf("%s: %+v", what, faults)
			continue
		}
		if asker.Hears(&r) != (tt.field == "" || tt.hears) {
			t.Errorf("%s: told of is %v", what, asker.Hears(&r))
		}
		if tt.field != "" && (len(faults) != 1 || faults[0].Field != tt.field || !strings.Contains(faults[0].What, tt.says) || faults[0].Hint == "") {
			t.Errorf("%s: %+v", what, faults)
		}
		all := Asker{Principal: access.Root("root")}
		if !all.Owns(&r) || !all.Hears(&r) {
			t.Errorf("%s: not everybody's", what)
		}
	}
	if nobody := (&Asker{}); nobody.Owns(new(rule.Default())) || nobody.Hears(new(rule.Default())) {
		t.Error("a scope of nothing owns a rule")
	}
}

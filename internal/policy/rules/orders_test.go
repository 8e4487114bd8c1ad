package rules

import (
	"reflect"
	"testing"
	"time"
)

func TestRoutesThatRulesName(t *testing.T) {
	text := "[[rule]]\nname = \"a\"\naction = \"force-tls\"\n[rule.force_tls]\notherwise = [\"route:portal\", \"route:gate\", \"bounce\"]\n" +
		"[[rule]]\nname = \"b\"\naction = \"redirect\"\n[rule.redirect]\nroute = \"gate\"\n" +
		"[[rule]]\nname = \"c\"\nscope = \"disabled\"\naction = \"force-tls\"\n[rule.force_tls]\notherwise = [\"route:gone\", \"bounce\"]\n"
	want := []RouteUse{{"portal", "a", 1}, {"gate", "a", 1}}
	if got := mustParse(t, text).Routes(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestOtherwiseThatASetWarnsOf(t *testing.T) {
	for keys, warned := range map[string]bool{"": false, "names = \"domain\"": true, "proof = \"dane\"": true, "proof = \"either\"": false} {
		text := "[[rule]]\nname = \"a\"\naction = \"force-tls\"\n[rule.match]\nsubject = [\"x\"]\n[rule.force_tls]\notherwise = [\"route:portal\", \"bounce\"]\n" + keys
		if got := len(mustParse(t, text).Warnings(time.Now())) > 0; got != warned {
			t.Errorf("%q: warned %v", keys, got)
		}
	}
	for _, plain := range []string{"[]", "[\"bounce\"]"} {
		s := mustParse(t, "[[rule]]\nname = \"a\"\naction = \"force-tls\"\n[rule.force_tls]\notherwise = "+plain+"\n")
		if len(s.rules[0].ForceTLS.Otherwise) > 0 {
			t.Errorf("%s is not the default", plain)
		}
	}
}

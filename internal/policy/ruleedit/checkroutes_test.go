package ruleedit

import (
	"strings"
	"testing"
)

func TestRoutesOfOtherwiseMustBeThere(t *testing.T) {
	text := "[[rule]]\nname = \"a\"\naction = \"force-tls\"\n[rule.force_tls]\notherwise = [\"route:portal\", \"route:gate\", \"bounce\"]\n" +
		"[[rule]]\nname = \"b\"\naction = \"redirect\"\n[rule.redirect]\nroute = \"gate\"\n" +
		"[[rule]]\nname = \"c\"\nscope = \"disabled\"\naction = \"force-tls\"\n[rule.force_tls]\notherwise = [\"route:gone\", \"bounce\"]\n"
	if err := CheckRoutes("rules", []byte(text), []string{"portal", "gate"}); err != nil {
		t.Error(err)
	}
	err := CheckRoutes("rules", []byte(text), []string{"portal"})
	if err == nil || strings.Count(err.Error(), `there is no route "gate"`) != 2 || strings.Contains(err.Error(), "gone") {
		t.Error(err)
	}
}

package web

import (
	"strings"
	"testing"
)

// TestAnExceptionIsWrittenAndRemoved: what it would change is shown first; what is wrong is said, and nothing that was
// filled in is lost.
func TestAnExceptionIsWrittenAndRemoved(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	p := b.get("/rules/exceptions")
	p.has(b, 200, "no exceptions", "A new exception")
	b.wellMade(p)
	with := func(do string, more ...string) page {
		return b.post("/rules/exceptions", append([]string{"do", do, "domain", "Broken.test", "reason", "ticket <4711>"}, more...)...)
	}
	p = with("look", "revision", "1", "ignore", "sts")
	p.has(b, 422, "it must end", "Broken.test", "ticket &lt;4711&gt;", `value="sts" checked`)
	b.wellMade(p)
	with("look", "revision", "1", "expires", "2099-01-31").has(b, 422, "ignore")
	with("look", "revision", "1", "expires", "2099-01-31", "ignore", "smtp").has(b, 422, "nothing that a domain publishes")
	with("look", "revision", "1", "expires", "2099-01-31\"\n[[rule]]", "ignore", "sts").has(b, 422, "it must end")
	p = with("look", "revision", "1", "expires", "2099-01-31", "ignore", "sts")
	p.has(b, 200, "What saving would change", "[[exception]] broken.test")
	b.wellMade(p)
	b.get("/rules/exceptions").has(b, 200, "no exceptions")
	with("save", "revision", "1", "expires", "2099-01-31", "ignore", "sts")
	p = b.get("/rules/exceptions?domain=broken.test")
	p.has(b, 200, "The exception for broken.test", "ticket &lt;4711&gt;", "2099-01-31", "MTA-STS")
	b.wellMade(p)
	with("save", "revision", "1", "expires", "2099-02-28", "ignore", "dane").has(b, 409)
	b.post("/rules/exceptions", "do", "save", "revision", "2", "domain", "broken.test", "reason", "again", "expires", "2020-02-28", "ignore", "dane", "ignore", "sts")
	b.get("/rules/exceptions").has(b, 200, "again", "has ended", "MTA-STS", "DANE")
	b.post("/rules/exceptions", "do", "remove", "revision", "3", "domain", "broken.test")
	b.get("/rules/exceptions").has(b, 200, "no exceptions")
	b.post("/rules/exceptions", "do", "remove", "revision", "4", "domain", "broken.test").has(b, 404)
	b.get("/rules/file").has(b, 200, "[[rule]]")
}

// TestWhatIsWrongWithAnExceptionStandsAtItsField: all of it at once, in the words of the form; one that has ended is
// warned of before it is saved; and what somebody else changed in the meantime takes nothing away.
func TestWhatIsWrongWithAnExceptionStandsAtItsField(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	p := b.post("/rules/exceptions", "do", "look", "revision", "1", "domain", "*.x", "reason", " ", "expires", "soon").
		has(b, 422, "This is not in force yet", "it must end", "it sets nothing aside", "it does not say why", "is no domain", `value="*.x"`, `value="soon"`)
	b.wellMade(p)
	for _, field := range []string{"domain", "expires", "ignore", "reason"} {
		p.has(b, 422, `href="#`+field+`"`, `id="`+field+`.problem"`)
	}
	for _, word := range []string{"reason =", "ignore =", "expires =", "[["} {
		if strings.Contains(plain(p.tree), word) {
			t.Errorf("the form speaks of %q", word)
		}
	}
	long := strings.Repeat("x", 1001)
	b.post("/rules/exceptions", "do", "look", "revision", "1", "domain", "broken.test", "ignore", "sts", "reason", long, "expires", "2099-01-01").
		has(b, 422, `id="reason.problem"`, "is too long", long)
	ended := []string{"do", "look", "revision", "1", "domain", "broken.test", "ignore", "sts", "reason", "r", "expires", "2020-01-01"}
	p = b.post("/rules/exceptions", ended...).has(b, 200, "What saving would change", "has ended (2020-01-01)")
	b.wellMade(p)
	b.saveFile("# other\n" + someRule)
	p = b.post("/rules/exceptions", ended...).has(b, 409, "somebody changed the rules in the meantime: revision 2 is in force", `value="2020-01-01"`, `name="revision" value="2"`)
	b.wellMade(p)
}

// TestNothingIsLostWhereTheRulesChangedMeanwhile: a list and the file come back as they were typed.
func TestNothingIsLostWhereTheRulesChangedMeanwhile(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	list := "[[list]]\nname = \"near\"\nvalues = [\"a.test\"]\n"
	b.saveFile(list)
	b.saveFile("# other\n" + list)
	for path, text := range map[string]string{"/rules/lists/near": "typed.test", "/rules/file": "# typed"} {
		for _, do := range []string{"look", "save"} {
			p := b.post(path, "revision", "1", "do", do, "text", text).has(b, 409, "somebody changed the rules in the meantime", text, `name="revision" value="2"`)
			b.wellMade(p)
		}
	}
	p := b.post("/rules/lists/near", "revision", "2", "do", "look", "text", "<>\n").has(b, 422, `href="#text"`, `id="text.problem"`, "the null sender stands in no list", "&lt;&gt;")
	b.wellMade(p)
	b.post("/rules/lists/near", "revision", "2", "do", "look", "text", "b.test\n").has(b, 200, "What saving would change", "is named by no rule")
}

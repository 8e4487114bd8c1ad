package web

import "testing"

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

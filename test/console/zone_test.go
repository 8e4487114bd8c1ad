package console

import (
	"strings"
	"testing"

	"postern/test/harness"
)

// TestTimesNameTheirZone: a page names its zone once; evidence stays in UTC, on the screen and on paper, and so does
// whatever is printed.
func TestTimesNameTheirZone(t *testing.T) {
	t.Parallel()
	w, base := newGateway(t)
	w.Start("")
	anna := sitDown(t, base)
	anna.setsUp(w)
	id := w.Send("anna@home.test", "hello", "pat@good.test")
	w.Await("pat@good.test", harness.In("delivered"))
	const times = `Array.from(document.querySelectorAll("main time")).map((t) => t.textContent).join("|")`
	const zone = `document.querySelector("[data-zone]").textContent`
	inUTC := func(where string) {
		t.Helper()
		shown := strings.Split(ask[string](anna, times), "|")
		for _, s := range shown {
			if !strings.HasSuffix(s, " UTC") {
				t.Errorf("%s: %q", where, shown)
				break
			}
		}
		if z := ask[string](anna, zone); z != "Times are in UTC." {
			t.Errorf("%s: %q", where, z)
		}
	}
	anna.opens("/trace/" + id)
	if z := ask[string](anna, zone); !strings.HasPrefix(z, "Times are in your time zone, ") {
		t.Errorf("the page says %q", z)
	}
	if shown := ask[string](anna, times); strings.Contains(shown, "UTC") {
		t.Errorf("times are %q", shown)
	}
	ask[bool](anna, `dispatchEvent(new Event("beforeprint"))`)
	inUTC("printed")
	ask[bool](anna, `(show(document.querySelector("[data-live]").cloneNode(true)), true)`) // the page renews itself meanwhile
	inUTC("printed, renewed")
	ask[bool](anna, `dispatchEvent(new Event("afterprint"))`)
	if shown := ask[string](anna, times); strings.Contains(shown, "UTC") {
		t.Errorf("after printing times are %q", shown)
	}
	anna.opens("/trace/" + id + "/evidence")
	inUTC("evidence")
	// While there is room an address stands in one line.
	anna.opens("/trace")
	if high := ask[bool](anna, `(() => { const cell = Array.from(document.querySelectorAll("td.wrap")).find((c) => c.textContent.includes("pat@good.test"));
		const r = document.createRange(); r.selectNodeContents(cell); return new Set(Array.from(r.getClientRects()).map((b) => b.top)).size > 1; })()`); high {
		t.Error("an address is broken while there is room")
	}
}

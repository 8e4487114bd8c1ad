package web

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"postern/internal/policy/rules"
)

// TestThePaneStandsInItsOrder: the pane has the areas and the words of the product's description, the box in the
// Recipient area.
func TestThePaneStandsInItsOrder(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	var areas []string
	inArea, boxIn := "", ""
	labels := map[string]bool{}
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		was := inArea
		if n.Type == html.ElementNode && n.Data == "fieldset" {
			for c := range n.ChildNodes() {
				if c.Data == "legend" {
					inArea = c.FirstChild.Data
					areas = append(areas, inArea)
				}
			}
		}
		labels[attr(n, "for")] = true
		if attr(n, "for") == "force_tls.unspecified_recipients" {
			if boxIn = inArea; n.FirstChild.Data != rules.Box {
				t.Errorf("the box is called %q", n.FirstChild.Data)
			}
		}
		for c := range n.ChildNodes() {
			walk(c)
		}
		inArea = was
	}
	walk(b.get("/rules/edit?name=clinic").tree)
	if want := []string{"Scope", "Match", "Sender", "Recipient", "Message", "Except when", "Action", "Expires"}; !slices.Equal(areas, want) || boxIn != "Recipient" {
		t.Errorf("the areas are %q, and the box stands in %q", areas, boxIn)
	}
	for _, key := range rules.Keys() {
		if key.Label == "" {
			t.Errorf("the pane has no word for %s", key.Name)
		}
		if !labels[key.Name] {
			t.Errorf("the pane has no field for %s", key.Name)
		}
	}
}

// TestWhatIsWrongStandsAtItsField: each problem stands at its field and in a list that leads there, and all that was
// filled in is still there.
func TestWhatIsWrongStandsAtItsField(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	good := map[string]string{"name": "bank", "scope": "outbound", "mode": "enforce", "action": "force-tls", "match.recipient": "bank.test", "description": "kept all the same"}
	for key, wrong := range map[string]string{"name": "", "expires": "tomorrow", "match.recipient": "two words@bank.test", "match.sender": "a@b@c", "match.sender_ip": "10.0.0.0/99",
		"match.subject": "re:(", "match.size_over": "much", "match.recipients_over": "many", "force_tls.names": "not a name", "force_tls.pins": "sha256:short",
		"force_tls.min_tls": "9", "force_tls.defer": "soon", "force_tls.trust": "relative/\x00.pem", "scope": "everywhere", "mode": "perhaps", "force_tls.revocation": "maybe"} {
		form := []string{"rule", "", "revision", "1", "do", "look"}
		for k, v := range good {
			if k != key {
				form = append(form, k, v)
			}
		}
		p := b.post("/rules/edit", append(form, key, wrong)...)
		p.has(b, 422, "This is not in force yet", newForm().Fields[key].Label)
		for _, word := range []string{"recipients_over", "size_over", "min_tls", "sender_ip", "force_tls", "match.", "write name ="} {
			for n := range p.tree.Descendants() {
				if n.Type == html.TextNode && strings.Contains(n.Data, word) {
					t.Errorf("%s = %q: the page says %q", key, wrong, n.Data)
				}
			}
		}
		linked := false
		for n := range p.tree.Descendants() {
			linked = linked || n.Data == "a" && attr(n, "href") == "#"+key
		}
		if !linked {
			t.Errorf("%s = %q: no link leads to the field:\n%s", key, wrong, p.text)
		}
		fields := formFields(p.tree)
		if i := slices.Index(fields, "description"); key != "description" && (i < 0 || fields[i+1] != "kept all the same") {
			t.Errorf("%s = %q: what was filled in came back as %q", key, wrong, fields)
		}
	}
}

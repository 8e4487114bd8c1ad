package web

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"postern/internal/operator/access"
	"postern/internal/operator/ruleform"
	"postern/internal/policy/rule"
	"postern/internal/policy/rules"
)

// TestThePaneStandsInItsOrder: the pane has the areas and the words of the product's description, the box in the
// Recipient area with a picture, and a place for every key of the grammar.
func TestThePaneStandsInItsOrder(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	b.saveFile(someRule)
	p := b.get("/rules/edit?name=clinic")
	b.wellMade(p)
	var areas []string
	ids := map[string]bool{}
	for n := range p.tree.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		ids[attr(n, "id")] = true
		if n.Data == "h1" && plain(n) != "Policy Rule Settings" {
			t.Errorf("the pane is called %q", plain(n))
		}
		if n.Parent.Data == "legend" && (n.Data == "h2" || n.Data == "h3") {
			areas = append(areas, n.Data+" "+plain(n))
		}
	}
	want := []string{"h2 Scope", "h2 Match", "h3 Sender", "h3 Recipient", "h3 Message", "h3 Except when", "h2 Action", "h2 Expires"}
	if !slices.ContainsFunc(rule.Keys(), func(k rule.Key) bool { return k.Section() == "unless" }) {
		want = slices.DeleteFunc(want, func(a string) bool { return a == "h3 Except when" })
	}
	if !slices.Equal(areas, want) {
		t.Errorf("the areas are %q, want %q", areas, want)
	}
	for _, key := range rule.Keys() {
		if key.Label == "" {
			t.Errorf("the pane has no word for %s", key.Name)
		}
		if !ids[key.Name] {
			t.Errorf("the pane has no field for %s", key.Name)
		}
	}
	recipient := p.areaOf(t, "force_tls.unspecified_recipients")
	if got := plain(firstOf(recipient, "legend")); got != "Recipient" {
		t.Errorf("the box stands in %q", got)
	}
	label := labelOf(p.tree, "force_tls.unspecified_recipients")
	if label != "Enable Opportunistic TLS for unspecified recipients" {
		t.Errorf("the box is called %q", label)
	}
	for n := range recipient.Descendants() {
		if n.Data == "svg" && (attr(n, "role") != "img" || len(attr(n, "aria-label")) < 40) {
			t.Error("a picture without words")
		}
	}
	if firstOf(recipient, "svg") == nil {
		t.Error("the box has no picture")
	}
}

// areaOf is the innermost fieldset around an element.
func (p page) areaOf(t *testing.T, id string) *html.Node {
	t.Helper()
	for n := range p.tree.Descendants() {
		if attr(n, "id") != id {
			continue
		}
		for a := range n.Ancestors() {
			if a.Data == "fieldset" {
				return a
			}
		}
	}
	t.Fatalf("%s stands in no area", id)
	return nil
}

func firstOf(n *html.Node, name string) *html.Node {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && d.Data == name {
			return d
		}
	}
	return nil
}

func labelOf(n *html.Node, id string) string {
	for d := range n.Descendants() {
		if d.Data == "label" && attr(d, "for") == id {
			return plain(d)
		}
	}
	return ""
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
		"action": "", "force_tls.min_tls": "9", "force_tls.defer": "soon", "force_tls.trust": "relative/\x00.pem", "scope": "everywhere", "mode": "perhaps", "force_tls.revocation": "maybe"} {
		form := []string{"rule", "", "revision", "1", "do", "look"}
		for k, v := range good {
			if k != key {
				form = append(form, k, v)
			}
		}
		p := b.post("/rules/edit", append(form, key, wrong)...)
		p.has(b, 422, "This is not in force yet", ruleform.New().Fields[key].Label)
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

// TestSavingWhatNobodyTouchedChangesNothing: opened and saved, a rule is what it was, blanks at the ends included.
func TestSavingWhatNobodyTouchedChangesNothing(t *testing.T) {
	b := newConsole(t)
	b.setUp()
	const text = "[[rule]]\nname = \"blanks\"\ndescription = \"  two before \"\naction = \"force-tls\"\n[rule.match]\nsender = [\"re:^a \", \"b.test\"]\n" +
		"header = [{ name = \"X-A\", value = \"re:a  b \" }, { name = \"X-B\", value = \" c\" }]\nsubject = [\"  \", \"re:x \", \" re:y\"]\nsize_over = \"10MB\"\n"
	b.saveFile(text)
	fields := formFields(b.get("/rules/edit?name=blanks").tree)
	for _, do := range []string{"look", "save"} {
		p := b.post("/rules/edit", append([]string{"do", do}, fields...)...)
		if p.has(b, 200); do == "look" {
			p.has(b, 200, "Nothing would be protected otherwise than now.")
			fields = formFields(p.tree)
		}
	}
	before, err := rules.Parse("before", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	view, err := b.s.For(access.Root("root")).Rules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after, err := rules.Parse("after", []byte(view.Text))
	if err != nil || string(after.TOML()) != string(before.TOML()) {
		t.Errorf("%v, came back as\n%s", err, view.Text)
	}
}

package console

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"postern/test/harness"
)

// generator makes a client out of a description. It reads OpenAPI 3.0, which the API serves besides 3.1.
const generator = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"

// A client made by somebody else's generator from what the gateway says of itself creates a rule and reads a trace,
// with a token that was made in the console.
func TestAGeneratedClientSpeaksToTheGateway(t *testing.T) {
	t.Parallel()
	w, base := newGateway(t)
	w.Start(harness.Force("clinic", `"clinic.test"`))
	anna := sitDown(t, base)
	anna.setsUp(w)
	anna.opens("/profile")
	anna.types("tokenname", "a program")
	anna.do(chromedp.Click(chromedp.CSS(`[id="scope-rules:write"]`)), chromedp.Click(chromedp.CSS(`[id="scope-rules:read"]`)), chromedp.Click(chromedp.CSS(`[id="scope-trace:read"]`)))
	anna.presses("Make a token")
	anna.sees("Your new token")
	token := ask[string](anna, `document.body.innerText.match(/postern_[A-Za-z0-9_-]+/)[0]`)
	w.Send("anna@home.test", "x", "pat@good.test")
	id := w.Await("pat@good.test", harness.In("delivered")).Message

	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "client"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) string {
		t.Helper()
		c := exec.Command(name, args...)
		c.Dir = dir
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%.3000s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	if out, err := exec.Command("go", "mod", "download", strings.Replace(generator, "/cmd/oapi-codegen@", "@", 1)).CombinedOutput(); err != nil && os.Getenv("CI") == "" {
		t.Skipf("the generator cannot be had: %v %s", err, out)
	}
	program, err := os.ReadFile("testdata/client/main.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	write("main.go", string(program))
	write("go.mod", "module program\n\ngo 1.26\n")
	write("api.json", w.Get("/api/v1/openapi-3.0.json", 200))
	run("go", "run", generator, "-generate", "types,client", "-package", "client", "-o", "client/client.go", "api.json")
	run("go", "mod", "tidy")
	got := run("go", "run", ".", base, token, id)
	want := regexp.MustCompile(`created in revision 2\nrefused with 422 1 problem\nsent to pat@good.test as plaintext reached authenticated now delivered\n$`)
	if !want.MatchString(got) {
		t.Errorf("the program says\n%s", got)
	}
	if list := w.Postern("rules", "list"); !strings.Contains(list, "bank") {
		t.Errorf("the rules are\n%s", list)
	}
	// The command line speaks the same API from elsewhere.
	w.Write("token", []byte(token+"\n"))
	if out := w.Run("", "rules", "list", "--server", base, "--token-file", filepath.Join(w.Dir, "token")); out.Code != 0 || !strings.Contains(out.Stdout, "bank") {
		t.Errorf("from elsewhere: %+v", out)
	}
	if out := w.Run("", "queue", "retry", "clinic.test", "--server", base, "--token-file", filepath.Join(w.Dir, "token")); out.Code == 0 || !strings.Contains(out.Stderr, "may not") {
		t.Errorf("beyond the token: %+v", out)
	}
	if out := w.Run("", "rules", "list", "--server", "http://192.0.2.1:8025", "--token-file", filepath.Join(w.Dir, "token")); out.Code == 0 || !strings.Contains(out.Stderr, "in the clear") {
		t.Errorf("in the clear: %+v", out)
	}
}

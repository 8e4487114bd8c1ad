package console

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"postern/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const password = "correct horse battery"

// person is somebody in front of a browser of his own.
type person struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu     sync.Mutex
	faults []string // what pages complained about
}

// chromium is where the browser is; the test skips without one, and fails in continuous integration.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("no Chromium: test/prepare.sh browser installs it")
	}
	t.Skip("no Chromium: test/prepare.sh browser installs it")
	return ""
}

// sitDown opens a browser. flags are further ones of its own.
func sitDown(t *testing.T, base string, flags ...chromedp.ExecAllocatorOption) *person {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.WindowSize(1280, 900),
		chromedp.UserDataDir(t.TempDir()))
	options = append(options, flags...)
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(alloc)
	p := &person{t: t, ctx: ctx, base: base}
	t.Cleanup(func() {
		stop()
		stopAlloc()
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, fault := range p.faults {
			t.Errorf("the browser complains: %s", fault)
		}
	})
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	call(p, network.Enable, network.EnableParams{})
	call(p, log.Enable, cdp.Empty{})
	call(p, runtime.Enable, cdp.Empty{})
	return p
}

// hear takes note of exceptions, of what the content policy refused and of requests to elsewhere.
func (p *person) hear(e any) {
	fault := ""
	switch e := e.(type) {
	case *runtime.EventExceptionThrown:
		fault = fmt.Sprintf("%+v", e.ExceptionDetails)
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceSecurity || e.Entry.Source == log.EntrySourceJavascript {
			fault = e.Entry.Text
		}
	case *network.EventRequestWillBeSent:
		if url := e.Request.URL; !strings.HasPrefix(url, p.base) && !strings.HasPrefix(url, "data:") {
			fault = "a request to " + url
		}
	}
	if fault != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.faults = append(p.faults, fault)
	}
}

// call runs a command of the browser's own protocol.
func call[P, R any](p *person, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, harness.Patience)
	defer cancel()
	out, err := chromedp.Call(ctx, command, params)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// do runs actions, each within the harness's patience.
func (p *person) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	for _, a := range actions {
		ctx, cancel := context.WithTimeout(p.ctx, harness.Patience)
		err := chromedp.Do(ctx, a)
		for err != nil && ctx.Err() == nil && renewed(err) {
			err = chromedp.Do(ctx, a)
		}
		cancel()
		if err != nil {
			p.t.Fatalf("%v; the page is %s and says:\n%s", err, p.where(), p.page())
		}
	}
}

// renewed says that the page put another element in the place of the one that was found, before anything was done to
// it: pages that follow what happens do that. A person would look again.
func renewed(err error) bool {
	for _, words := range []string{"Could not find node with given id", "No node with given id", "Node is detached from document", "Node does not have a layout object", "Could not compute content quads"} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

// ask runs script and returns what it gives; the zero value where the page is just changing.
func ask[T any](p *person, script string) T {
	ctx, cancel := context.WithTimeout(p.ctx, harness.Patience)
	defer cancel()
	out, _ := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	return out
}

func (p *person) where() string { return strings.TrimPrefix(ask[string](p, "location.href"), p.base) }

// page is the text of the page.
func (p *person) page() string { return ask[string](p, "document.body.innerText") }

// opens goes to a page.
func (p *person) opens(path string) {
	p.t.Helper()
	p.do(chromedp.Navigate(p.base + path))
}

// sees waits until the page says every text.
func (p *person) sees(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		for end := time.Now().Add(harness.Patience); !strings.Contains(p.page(), text); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				p.t.Fatalf("%s does not say %q but\n%s", p.where(), text, p.page())
			}
		}
	}
}

// types replaces what a field holds.
func (p *person) types(id, text string) {
	p.t.Helper()
	p.do(chromedp.SetValue(field(id), text))
}

// field finds a field by its id, which may hold dots.
func field(id string) chromedp.CSS { return chromedp.CSS(`[id="` + id + `"]`) }

// presses presses a button, or follows a link, by its text.
func (p *person) presses(text string) {
	p.t.Helper()
	p.do(chromedp.Click(`//main//button[normalize-space()="`+text+`"] | //main//a[normalize-space()="`+text+`"]`, chromedp.NodeVisible))
}

// ticks changes a check box.
func (p *person) ticks(id string) {
	p.t.Helper()
	p.do(chromedp.Click(field(id)))
}

// confirms says yes to the question that a button asks.
func (p *person) confirms() {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS("dialog button.danger"), chromedp.NodeVisible))
}

// signsIn signs in with a password.
func (p *person) signsIn(name, secret string) {
	p.t.Helper()
	p.opens("/sign-in")
	p.types("name", name)
	p.types("password", secret)
	p.presses("Sign in")
}

// setupLink is where the link for the first administrator leads.
var setupLink = regexp.MustCompile(`^http\S*(/setup#[A-Za-z0-9_-]+)\n$`)

// setsUp becomes the first administrator by the link that the command line makes.
func (p *person) setsUp(w *harness.World) {
	p.t.Helper()
	found := setupLink.FindStringSubmatch(w.Postern("accounts", "first"))
	if found == nil {
		p.t.Fatal("there is no link for the first administrator")
	}
	p.opens(found[1])
	p.sees("Set up your account")
	p.do(chromedp.WaitVisible(field("password")))
	p.types("name", "anna")
	p.types("password", password)
	p.types("again", password)
	p.do(chromedp.Submit(field("password")))
	p.sees("gw.home.test")
}

// look is a way of looking at pages.
type look struct {
	name          string
	width, height int64
	dark          bool
}

func looks() []look {
	return []look{{"desktop-light", 1280, 900, false}, {"desktop-dark", 1280, 900, true}, {"phone-light", 390, 844, false}, {"phone-dark", 390, 844, true}}
}

// looksAs changes size and colours.
func (p *person) looksAs(l look) {
	p.t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 500})
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

// picture keeps a picture of the page.
func (p *person) picture(name string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, harness.Patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.t.ArtifactDir(), name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// violation is what axe-core finds wrong.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML, FailureSummary string }
}

// judged asks axe-core about the page; serious faults fail the test.
func (p *person) judged(axe string) {
	p.t.Helper()
	ask[int](p, axe+";0")
	answer := ask[string](p, `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v => ({ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.map(n => ({HTML: n.html, FailureSummary: n.failureSummary}))}))))`)
	var found []violation
	if err := json.Unmarshal([]byte(answer), &found); err != nil {
		p.t.Fatalf("axe-core answers %.200q: %v", answer, err)
	}
	for _, v := range found {
		if v.Impact == "serious" || v.Impact == "critical" {
			p.t.Errorf("%s: %s (%s): %.300s %.300s", p.where(), v.Help, v.ID, v.Nodes[0].HTML, v.Nodes[0].FailureSummary)
		}
	}
}

// fits fails the test where a page is wider than the screen.
func (p *person) fits(l look) {
	p.t.Helper()
	wide := ask[int64](p, "document.documentElement.scrollWidth")
	if wide > l.width {
		p.t.Errorf("%s is %d wide on a screen of %d", p.where(), wide, l.width)
	}
}

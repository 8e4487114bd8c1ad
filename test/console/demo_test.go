package console

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"

	"postern/test/harness"
)

// The demo that stays has a console: its link lets a visitor in, who sees the twelve messages.
func TestTheDemoThatStaysHasAConsole(t *testing.T) {
	t.Parallel()
	chromium(t)
	ctx, stop := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, harness.Binary(), "demo", "--stay")
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stop()
		_ = c.Wait() // it was interrupted
	}()
	link := regexp.MustCompile(`(http://\S+)(/setup#\S+)`)
	var found []string
	for in := bufio.NewScanner(out); found == nil && in.Scan(); {
		found = link.FindStringSubmatch(in.Text())
	}
	if found == nil {
		t.Fatal("the demo ended without a link")
	}
	visitor := sitDown(t, found[1])
	visitor.opens(found[2])
	visitor.do(chromedp.WaitVisible(field("password")))
	visitor.types("password", password)
	visitor.types("again", password)
	visitor.do(chromedp.Submit(field("password")))
	visitor.sees("out to the world")
	visitor.opens("/trace")
	visitor.sees("dr@clinic.test", "desk@bank.test")
	visitor.opens("/rules")
	visitor.sees("authenticated")
}

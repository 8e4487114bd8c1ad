package cluster

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/internal/lab/partner"
	"postern/test/harness"
)

// contents are the messages that a partner took.
func contents(p *partner.Partner) (out []string) {
	for _, m := range p.Messages() {
		out = append(out, m.Data)
	}
	return out
}

// TestMailOfAGatewayThatIsKilledGoesOnElsewhere: forty messages that one gateway accepted and could not deliver yet are
// delivered by the other, each once.
func TestMailOfAGatewayThatIsKilledGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	c := of(t, 2)
	p := c.gw[0].Domain("clinic.test", c.gw[0].Answers("mx.clinic.test", "RCPT", "451 4.3.0 later"))
	c.start(harness.Force("clinic", `"clinic.test"`))
	for i := range 40 {
		if id, reply := hand(c.gw[0], fmt.Sprintf("p%d@clinic.test", i)); id == "" {
			t.Fatal(reply)
		}
	}
	c.gw[0].Kill()
	p.Set(c.gw[0].Good("mx.clinic.test"))
	harness.Eventually(t, 4*harness.Patience, "all forty are delivered", func() bool {
		return len(p.Messages()) >= 40
	})
	for i := range 40 {
		to := fmt.Sprintf("p%d@clinic.test", i)
		if n := copies(contents(p), to); n != 1 {
			t.Errorf("%d copies for %s", n, to)
		}
		c.gw[1].Await(to, harness.In("delivered")).Want(t, map[string]string{"reached": "authenticated"})
	}
}

// TestNobodyJudgesByOlderRulesOnceApplyReturned: what is handed to one gateway right after rules were applied at the
// other is judged by them.
func TestNobodyJudgesByOlderRulesOnceApplyReturned(t *testing.T) {
	t.Parallel()
	c := of(t, 2)
	p := c.gw[0].Domain("bank.test", partner.Behaviour{}) // no TLS
	c.start(harness.Force("bank", `"bank.test"`))
	seen := 0
	for round := range 20 {
		at, other := c.gw[round%2], c.gw[(round+1)%2]
		to := fmt.Sprintf("r%d@bank.test", round)
		if round%2 == 0 {
			at.Apply(harness.Force("nobody", fmt.Sprintf(`"round%d.test"`, round)))
			if id, reply := hand(other, to); id == "" {
				t.Fatal(reply)
			}
			seen++
			other.Await(to, harness.In("delivered")).Want(t, map[string]string{"reached": "plaintext"})
			continue
		}
		at.Apply(harness.Force("bank", `"bank.test"`))
		if id, reply := hand(other, to); id == "" {
			t.Fatal(reply)
		}
		other.Await(to, harness.Waits("starttls-not-offered"))
		if n := len(p.Messages()); n != seen {
			t.Fatalf("round %d: %d messages went in the clear, want %d", round, n, seen)
		}
	}
}

// TestWithoutTheDatabaseNobodyTakesOrSends: every gateway answers 451 while it is away, and all is well by itself when
// it is back.
func TestWithoutTheDatabaseNobodyTakesOrSends(t *testing.T) {
	t.Parallel()
	c := of(t, 2)
	p := c.gw[0].Domain("clinic.test", c.gw[0].Answers("mx.clinic.test", "RCPT", "451 4.3.0 later"))
	c.start(harness.Force("clinic", `"clinic.test"`))
	if id, reply := hand(c.gw[0], "before@clinic.test"); id == "" {
		t.Fatal(reply)
	}
	if err := c.db.Kill(); err != nil {
		t.Fatal(err)
	}
	p.Set(c.gw[0].Good("mx.clinic.test"))
	harness.Eventually(t, harness.Patience, "both answer 451", func() bool {
		for _, w := range c.gw {
			if _, reply := hand(w, "meanwhile@clinic.test"); !strings.HasPrefix(reply, "451 4.3.") {
				return false
			}
		}
		return true
	})
	if n := len(p.Messages()); n != 0 {
		t.Errorf("%d messages were sent without the database", n)
	}
	if err := c.db.Restart(); err != nil {
		t.Fatal(err)
	}
	for _, w := range c.gw {
		harness.Eventually(t, 2*harness.Patience, "mail is taken again", func() bool {
			id, _ := hand(w, "after@clinic.test")
			return id != ""
		})
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s", c.gw[1].Run("", "trace", "--recipient", "*@clinic.test", "--json").Stdout)
		}
	})
	harness.Eventually(t, 2*harness.Patience, "what waited is delivered", func() bool {
		return copies(contents(p), "before@clinic.test") == 1 && copies(contents(p), "after@clinic.test") >= 2
	})
}

// TestAGatewayThatWasFrozenSaysNoContentAfterwards: it waited for the answer to RCPT, in the clear, when it was frozen.
// Meanwhile a rule came into force at the other gateway, which took the mail over.
func TestAGatewayThatWasFrozenSaysNoContentAfterwards(t *testing.T) {
	t.Parallel()
	c := of(t, 2)
	asked, answer := make(chan bool, 8), make(chan bool)
	p := c.gw[0].Domain("bank.test", partner.Behaviour{Before: func(verb string) {
		if verb == "RCPT" {
			asked <- true
			<-answer
		}
	}})
	release := sync.OnceFunc(func() { close(answer) })
	defer release()
	c.start("")
	if id, reply := hand(c.gw[0], "p@bank.test"); id == "" {
		t.Fatal(reply)
	}
	<-asked
	c.gw[0].Signal(syscall.SIGSTOP)
	c.gw[1].Apply(harness.Force("bank", `"bank.test"`))
	c.gw[1].Await("p@bank.test", harness.Waits("starttls-not-offered"))
	release()
	c.gw[0].Signal(syscall.SIGCONT)
	harness.Eventually(t, harness.Patience, "it has gone on after RCPT and hung up", func() bool { return p.Connections() == 0 })
	for _, cmd := range p.Commands() {
		if cmd.Verb == "DATA" || cmd.Verb == "BDAT" {
			t.Errorf("%s was said by a gateway whose lease was over", cmd.Verb)
		}
	}
	if n := len(p.Messages()); n > 0 {
		t.Errorf("%d messages arrived in the clear", n)
	}
}

// TestAGatewayThatWasFrozenChangesNothingThatAnotherFinished: its mail went on elsewhere; when it wakes it settles
// nothing, sends nothing twice, and works again.
func TestAGatewayThatWasFrozenChangesNothingThatAnotherFinished(t *testing.T) {
	t.Parallel()
	c := of(t, 2)
	p := c.gw[0].Domain("slow.test", c.gw[0].Answers("mx.slow.test", "RCPT", "451 4.3.0 later"))
	c.start("")
	for i := range 10 {
		if id, reply := hand(c.gw[0], fmt.Sprintf("f%d@slow.test", i)); id == "" {
			t.Fatal(reply)
		}
	}
	c.gw[0].Signal(syscall.SIGSTOP)
	p.Set(c.gw[0].Good("mx.slow.test"))
	for i := range 10 {
		c.gw[1].Await(fmt.Sprintf("f%d@slow.test", i), harness.In("delivered"))
	}
	c.gw[0].Signal(syscall.SIGCONT)
	harness.Eventually(t, 2*harness.Patience, "the frozen gateway works again", func() bool {
		id, _ := hand(c.gw[0], "again@slow.test")
		return id != ""
	})
	c.gw[0].Await("again@slow.test", harness.In("delivered"))
	for i := range 10 {
		to := fmt.Sprintf("f%d@slow.test", i)
		if n := copies(contents(p), to); n != 1 {
			t.Errorf("%d copies for %s", n, to)
		}
		if got := c.gw[0].Traces("trace", "--recipient", to); len(got) != 1 || got[0].State != "delivered" {
			t.Errorf("%s: %+v", to, got)
		}
	}
}

// TestABrokenPartnerSeesOneProbe: a server that fails is tried by one gateway for all, and mail goes from both as soon
// as it works.
func TestABrokenPartnerSeesOneProbe(t *testing.T) {
	t.Parallel()
	c := of(t, 3)
	p := c.gw[0].Domain("down.test", partner.Behaviour{Replies: map[string]string{"EHLO": "421 4.3.2 closed", "HELO": "421 4.3.2 closed"}})
	c.gw[0].Settings["delivery.retry"] = `["2s"]`
	for _, w := range c.gw[1:] {
		w.Settings["delivery.retry"] = `["2s"]`
	}
	c.start("")
	for _, w := range c.gw {
		for i := range 5 {
			if id, reply := hand(w, fmt.Sprintf("%s%d@down.test", strings.Trim(w.Settings["cluster.node"], `"`), i)); id == "" {
				t.Fatal(reply)
			}
		}
	}
	time.Sleep(3 * time.Second) // all know it by now
	connections := func() (n int) {
		for _, c := range p.Commands() {
			if c.Verb == "EHLO" {
				n++
			}
		}
		return n
	}
	before := connections()
	began := time.Now()
	time.Sleep(10 * time.Second)
	probes, most := connections()-before, int(time.Since(began)/(2*time.Second))+2
	t.Logf("%d probes in %v", probes, time.Since(began))
	if probes > most {
		t.Errorf("%d probes, want at most %d: one gateway's", probes, most)
	}
	p.Set(c.gw[0].Good("mx.down.test"))
	harness.Eventually(t, 2*harness.Patience, "all is delivered", func() bool { return len(p.Messages()) >= 15 })
	if n := len(p.Messages()); n != 15 {
		t.Errorf("%d messages, want 15", n)
	}
}

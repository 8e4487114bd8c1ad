package recipients_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/gateway/recipients"
	"postern/internal/lab/partner"
	"postern/internal/lab/pki"
	"postern/internal/mail"
	"postern/internal/policy"
)

func TestOnlyAClearNoRefuses(t *testing.T) {
	const null, sender, rcpt = "MAIL FROM:<>", "MAIL FROM:<postmaster@gw.home.test>", "RCPT"
	for _, c := range []struct {
		name    string
		replies map[string]string
		want    string
	}{
		{"no such user", map[string]string{rcpt: "550 5.1.1 nobody"}, nobody},
		{"without an enhanced code", map[string]string{rcpt: "550 user unknown"}, nobody},
		{"554", map[string]string{rcpt: "554 delivery error: no account"}, nobody},
		{"553", map[string]string{rcpt: "553 sorry"}, nobody},
		{"551", map[string]string{rcpt: "551 5.1.6 moved"}, nobody},
		{"an odd code that is explicit", map[string]string{rcpt: "577 5.1.1 rejected"}, nobody},
		{"hosted Exchange", map[string]string{rcpt: "550 5.4.1 Recipient address rejected: Access denied"}, nobody},
		{"Exchange", map[string]string{rcpt: "550 5.1.10 RESOLVER.ADR.RecipientNotFound"}, nobody},
		{"a full mailbox", map[string]string{rcpt: "552 5.2.2 over quota"}, "552 5.2.2 the mailbox is full"},
		{"a full mailbox in old words", map[string]string{rcpt: "552 too much mail"}, "552 5.2.2 the mailbox is full"},
		{"a closed mailbox", map[string]string{rcpt: "550 5.2.1 disabled"}, "550 5.2.1 the mailbox takes no mail"},
		{"policy", map[string]string{rcpt: "554 5.7.1 Access denied"}, "550 5.7.1 mail for this address is refused by its own server"},
		{"hostile words", map[string]string{rcpt: "550 5.1.1 a\x1b[2Jb\t\x00"}, nobody},

		{"known", map[string]string{rcpt: "250 ok"}, ""},
		{"252", map[string]string{rcpt: "252 cannot verify"}, ""},
		{"put off", map[string]string{rcpt: "450 4.2.0 greylisted"}, ""},
		{"too busy", map[string]string{rcpt: "421 4.7.0 too many errors"}, ""},
		{"busy at MAIL", map[string]string{"MAIL": "451 later"}, ""},
		{"we are refused", map[string]string{"MAIL": "550 5.7.1 go away"}, ""},
		{"not understood", map[string]string{rcpt: "500 what?"}, ""},
		{"a bad parameter", map[string]string{rcpt: "501 5.5.4 syntax"}, ""},
		{"out of sequence", map[string]string{rcpt: "503 5.5.1 need MAIL"}, ""},
		{"authentication wanted", map[string]string{rcpt: "530 5.7.0 log in first"}, ""},
		{"the sender's address", map[string]string{rcpt: "550 5.1.8 sender domain not found"}, ""},
		{"the content", map[string]string{rcpt: "554 5.6.0 no"}, ""},
		{"a reply that is none", map[string]string{rcpt: "hello"}, ""},
		{"a reply that makes no sense", map[string]string{rcpt: "354 go on"}, ""},

		{"no null sender, and nobody", map[string]string{null: "550 5.7.1 no bounces", rcpt: "550 5.1.1 nobody"}, nobody},
		{"no null sender, and a no that may be about the sender", map[string]string{null: "550 no bounces", rcpt: "550 rejected"}, ""},
		{"no null sender, and known", map[string]string{null: "550 5.7.1 no bounces", rcpt: "250 ok"}, ""},
		{"our postmaster is refused, and nobody", map[string]string{sender: "553 5.1.8 no such domain", rcpt: "550 5.1.1 nobody"}, nobody},
		{"our postmaster is refused, and no reports for it", map[string]string{sender: "553 5.1.8 no such domain", rcpt: "550 5.7.1 invalid bounce"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			story(t, func(w *world) {
				w.own.Set(w.behaves(c.replies))
				w.want("bob@home.test", c.want)
				w.mu.Lock()
				defer w.mu.Unlock()
				if text := fmt.Sprint(w.events); strings.ContainsAny(text, "\x1b\x00\t") {
					t.Errorf("raw words of the server in %q", text)
				}
			})
		})
	}
}

// A mailbox that takes no reports (BATV), or only mail of some senders, exists.
func TestAMailboxThatIsRefusedToOneSenderExists(t *testing.T) {
	for _, which := range []string{"MAIL FROM:<>", "MAIL FROM:<postmaster@gw.home.test>"} {
		story(t, func(w *world) {
			var mu sync.Mutex
			last := ""
			b := w.behaves(nil)
			b.Before = func(verb string) {
				mu.Lock()
				defer mu.Unlock()
				if verb == "MAIL" {
					last = ""
					for _, c := range w.own.Commands() {
						if c.Verb == "MAIL" {
							last = c.Line
						}
					}
				}
				delete(b.Replies, "RCPT")
				if last == which {
					b.Replies["RCPT"] = "550 5.7.1 not from you"
				}
			}
			w.own.Set(b)
			w.want("list@home.test", "")
			if got := w.results(); got != "1 known, 0 unknown, 0 unanswered" {
				t.Error(got)
			}
		})
	}
}

func TestNothingIsSaidOverAConnectionThatFallsShort(t *testing.T) {
	for name, change := range map[string]func(w *world, b *partner.Behaviour){
		"no TLS":      func(_ *world, b *partner.Behaviour) { b.Fault = partner.NoTLS },
		"masked":      func(_ *world, b *partner.Behaviour) { b.Fault = partner.Masked },
		"TLS refused": func(_ *world, b *partner.Behaviour) { b.Fault = partner.RefusesTLS },
		"broken TLS":  func(_ *world, b *partner.Behaviour) { b.Fault = partner.BreaksTLS },
		"expired": func(w *world, b *partner.Behaviour) {
			b.TLS.Certificates[0] = w.ca.Issue(pki.Options{Names: []string{"mail.home.test"}, NotAfter: time.Now().Add(-time.Hour)}).TLS
		},
		"another name": func(w *world, b *partner.Behaviour) {
			b.TLS.Certificates[0] = w.ca.Issue(pki.Options{Names: []string{"mail.other.test"}}).TLS
		},
		"another CA": func(w *world, b *partner.Behaviour) {
			b.TLS.Certificates[0] = pki.New(time.Now(), "Other").Issue(pki.Options{Names: []string{"mail.home.test"}}).TLS
		},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(w *world) {
				b := w.behaves(nil)
				change(w, &b)
				w.own.Set(b)
				w.demand(policy.Authenticated)
				w.want("bob@home.test", "")
				if n := w.said("MAIL") + w.said("RCPT"); n > 0 {
					t.Errorf("%d commands named an address over a connection that fell short", n)
				}
				if len(w.warnings()) != 1 {
					t.Errorf("warnings: %q", w.warnings())
				}
				w.demand(policy.Plaintext)
				w.k.Use(mustRead(t, recipients.Source{Domain: mail.MustDomain("home.test")}))
				w.want("bob@home.test", nobody) // the leg is opportunistic now
			})
		})
	}
}

func mustRead(t *testing.T, s ...recipients.Source) *recipients.Sources {
	t.Helper()
	out, err := recipients.Read(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A demand that comes in force while a connection is kept holds for the next question.
func TestAKeptConnectionIsNotUsedUnderAnotherRequirement(t *testing.T) {
	story(t, func(w *world) {
		b := w.behaves(nil)
		b.Fault = partner.NoTLS
		w.own.Set(b)
		w.want("bob@home.test", nobody)
		w.demand(policy.Encrypted)
		before := w.said("RCPT")
		w.want("carl@home.test", "")
		if n := w.said("RCPT"); n != before {
			t.Errorf("%d questions crossed a connection that was opened under less", n-before)
		}
	})
}

func TestAnswersAreRememberedAndForgotten(t *testing.T) {
	story(t, func(w *world) {
		for range 3 {
			w.want("anna@home.test", "")
			w.want("bob@home.test", nobody)
		}
		if n := w.said("RCPT"); n != 3 { // one for anna, two for bob
			t.Errorf("%d questions", n)
		}
		time.Sleep(16 * time.Minute) // the no is forgotten, the yes is not
		w.want("anna@home.test", "")
		w.want("bob@home.test", nobody)
		if n := w.said("RCPT"); n != 5 {
			t.Errorf("%d questions after a while", n)
		}
		w.own.Set(w.behaves(map[string]string{"RCPT TO:<bob@home.test>": "250 welcome", "RCPT TO:<anna@home.test>": "550 5.1.1 left"}))
		time.Sleep(11 * time.Second) // the connection of before is closed
		w.want("bob@home.test", nobody)
		w.use(recipients.Source{Domain: mail.MustDomain("home.test")}) // a reload
		w.want("bob@home.test", "")
		w.want("anna@home.test", nobody)
		time.Sleep(25 * time.Hour)
		w.want("bob@home.test", "")
		if got := w.results(); got != "3 known, 3 unknown, 0 unanswered" {
			t.Error(got)
		}
	})
}

// What one kind of answers fills does not push out the other.
func TestAFloodOfUnknownNamesCostsNoneOfTheKnown(t *testing.T) {
	story(t, func(w *world) {
		w.want("anna@home.test", "")
		for i := range 30 {
			w.want(fmt.Sprintf("n%d@home.test", i), nobody)
		}
		before := w.said("RCPT")
		w.want("anna@home.test", "")
		w.want("n29@home.test", nobody)
		if n := w.said("RCPT"); n != before {
			t.Errorf("%d questions about what is remembered", n-before)
		}
		w.want("n0@home.test", nobody)
		if n := w.said("RCPT"); n != before+2 {
			t.Errorf("more is remembered than the limit: %d questions", n-before)
		}
	}, func(c *recipients.Config) { c.Remembered = 20 })
}

// A dictionary attack opens few connections, each is used a few times, and those who find no place are taken.
func TestADictionaryAttackIsBounded(t *testing.T) {
	story(t, func(w *world) {
		var mu sync.Mutex
		now, most := 0, 0
		b := w.behaves(nil)
		b.Before = func(verb string) {
			if verb != "RCPT" {
				return
			}
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second) // a tarpit
			mu.Lock()
			now--
			mu.Unlock()
		}
		w.own.Set(b)
		var all sync.WaitGroup
		refused := make(chan string, 200)
		start := time.Now()
		for i := range 200 {
			all.Go(func() { refused <- w.ask(fmt.Sprintf("n%d@home.test", i)) })
		}
		all.Wait()
		close(refused)
		count := 0
		for r := range refused {
			if r != "" {
				count++
			}
		}
		if took := time.Since(start); took > 20*time.Second || most > 3 || count < 10 {
			t.Errorf("took %v, %d at a time, %d refused", took, most, count)
		}
		if hello := w.said("EHLO"); hello > 2*(count*2/8+4) {
			t.Errorf("%d greetings for %d refusals: connections are not used again", hello, count)
		}
		if len(w.warnings()) > 0 {
			t.Errorf("warned of a server that answers: %q", w.warnings())
		}
	}, func(c *recipients.Config) { c.PerServer = 3 })
}

// Exchange takes five seconds for each no to a stranger.
func TestATarpitIsWaitedFor(t *testing.T) {
	story(t, func(w *world) {
		b := w.behaves(nil)
		b.Before = func(verb string) {
			if verb == "RCPT" {
				time.Sleep(5 * time.Second)
			}
		}
		w.own.Set(b)
		w.want("bob@home.test", nobody)
	})
}

func TestTheSameNameIsAskedOnceAtATime(t *testing.T) {
	story(t, func(w *world) {
		b := w.behaves(nil)
		b.Before = func(string) { time.Sleep(100 * time.Millisecond) }
		w.own.Set(b)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { w.want("bob@home.test", nobody) })
		}
		all.Wait()
		if n := w.said("RCPT"); n != 2 {
			t.Errorf("%d questions", n)
		}
	})
}

func TestConnectionsAreUsedAgainAndNotTooOften(t *testing.T) {
	story(t, func(w *world) {
		for i := range 8 {
			w.want(fmt.Sprintf("n%d@home.test", i), nobody)
		}
		if n := w.said("EHLO"); n != 4 { // two connections, each before and inside TLS, of 8 refusals
			t.Errorf("%d greetings", n)
		}
		time.Sleep(2 * time.Second)
		if n := w.said("QUIT"); n != 2 {
			t.Errorf("%d goodbyes", n)
		}
		w.want("anna@home.test", "")
		time.Sleep(20 * time.Second)
		if n := w.said("QUIT"); n != 3 {
			t.Errorf("%d goodbyes: a connection that nobody uses is not closed", n)
		}
	})
}

// A connection that was used before and is at its end is no answer.
func TestAWornConnectionIsReplacedAtOnce(t *testing.T) {
	story(t, func(w *world) {
		w.want("anna@home.test", "")
		w.own.Close()
		l, err := w.net.Listen("192.0.2.99:25")
		if err != nil {
			t.Fatal(err)
		}
		w.own = partner.Serve("mail.home.test", l, w.behaves(nil))
		w.want("bob@home.test", nobody)
		if len(w.warnings()) > 0 {
			t.Errorf("warned: %q", w.warnings())
		}
	})
}

func TestAServerThatDoesNotAnswerIsLeftAloneForAWhile(t *testing.T) {
	for _, how := range []string{"silent", "down", "unreachable"} {
		t.Run(how, func(t *testing.T) {
			story(t, func(w *world) {
				switch how {
				case "silent":
					b := w.behaves(nil)
					b.Before = func(verb string) {
						if verb == "RCPT" {
							time.Sleep(time.Minute)
						}
					}
					w.own.Set(b)
				case "down":
					w.own.Close()
				case "unreachable":
					w.own.Close()
					w.net.Blackhole("192.0.2.99")
				}
				start := time.Now()
				w.want("bob@home.test", "")
				if took := time.Since(start); took > 20*time.Second {
					t.Errorf("the client waited %v", took)
				}
				start = time.Now()
				for i := range 20 {
					w.want(fmt.Sprintf("n%d@home.test", i), "")
				}
				if took := time.Since(start); took > 0 {
					t.Errorf("20 clients waited %v for a server that is known to be silent", took)
				}
				time.Sleep(31 * time.Second)
				w.want("bob@home.test", "")
				if len(w.warnings()) != 1 || !strings.Contains(w.warnings()[0], "home.test") {
					t.Errorf("warnings: %q", w.warnings())
				}
				time.Sleep(5 * time.Minute)
			})
		})
	}
}

func TestAnOutageIsToldOnceEachTime(t *testing.T) {
	story(t, func(w *world) {
		busy := w.behaves(nil)
		busy.Fault = partner.Busy
		for range 2 {
			w.own.Set(busy)
			for i := range 3 {
				w.want(fmt.Sprintf("n%d@home.test", i), "")
				time.Sleep(31 * time.Second)
			}
			w.own.Set(w.behaves(nil))
			w.want("new@home.test", nobody)
			w.use(recipients.Source{Domain: mail.MustDomain("home.test")})
			time.Sleep(time.Minute)
		}
		if len(w.warnings()) != 2 {
			t.Errorf("warnings: %q", w.warnings())
		}
	})
}

func TestWhoIsNotAsked(t *testing.T) {
	story(t, func(w *world) {
		w.want("bob@any.test", "")
		w.want("bob@elsewhere.test", "")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if w.k.Refuse(ctx, mail.MustAddress("bob@home.test"), func() {}) != nil || len(w.warnings()) > 0 {
			t.Errorf("a client that is gone: %q", w.warnings())
		}
		w.want("bü@home.test", "") // SMTPUTF8 is not offered
		if n := w.said("RCPT"); n > 0 {
			t.Errorf("%d questions", n)
		}
		slow := false
		w.k.Refuse(context.Background(), mail.MustAddress("anna@home.test"), func() { slow = true })
		if !slow {
			t.Error("not told that it takes time")
		}
		slow = false
		w.k.Refuse(context.Background(), mail.MustAddress("anna@home.test"), func() { slow = true })
		if slow {
			t.Error("what is remembered takes time")
		}
		w.stop()
		w.want("bob@home.test", "")
		synctest.Wait()
	})
}

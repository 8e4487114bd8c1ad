package nullrelay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"postern/bench/sink"
	"postern/bench/source"
	"postern/internal/lab/pki"
)

// recorder is a file in memory that keeps the order of what is done, and what of it is on stable storage.
type recorder struct {
	mu             sync.Mutex
	data, synced   []byte
	events         []string
	failWrite      error
	failSync       error
	blocked, going chan struct{} // when set, Datasync says so and waits
}

func (f *recorder) WriteAt(b []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, "write")
	if f.failWrite != nil {
		return 0, f.failWrite
	}
	if grow := int(at) + len(b) - len(f.data); grow > 0 {
		f.data = append(f.data, make([]byte, grow)...)
	}
	return copy(f.data[at:], b), nil
}

func (f *recorder) ReadAt(b []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at > int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *recorder) Datasync() error {
	if f.blocked != nil {
		f.blocked <- struct{}{}
		<-f.going
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, "sync")
	if f.failSync == nil {
		f.synced = slices.Clone(f.data)
	}
	return f.failSync
}

func (f *recorder) say(event string) {
	f.mu.Lock()
	f.events = append(f.events, event)
	f.mu.Unlock()
}

// submit gives a message to a journal and returns the answer.
func submit(j *journal, content string) *message {
	m := &message{envelope: []byte("MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"), content: []byte(content), synced: make(chan error, 1)}
	j.commit <- m
	return m
}

// running runs a journal until the end of the test.
func running(t *testing.T, f file) (j *journal, accepted func() int) {
	t.Helper()
	j = newJournal(f)
	var mu sync.Mutex
	var n int
	done := make(chan struct{})
	go func() {
		defer close(done)
		j.run(func(*message) {
			mu.Lock()
			n++
			mu.Unlock()
		})
	}()
	t.Cleanup(func() {
		close(j.commit)
		<-done
	})
	return j, func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

func TestNothingIsAcceptedBeforeItIsOnStableStorage(t *testing.T) {
	f := &recorder{}
	j, _ := running(t, f)
	for i := range 3 {
		m := submit(j, fmt.Sprintf("message %d\r\n.\r\n", i))
		if err := <-m.synced; err != nil {
			t.Fatal(err)
		}
		f.say("250")
		f.mu.Lock()
		durable := bytes.Contains(f.synced, m.content) && bytes.Contains(f.synced, m.envelope)
		f.mu.Unlock()
		if !durable {
			t.Errorf("message %d was accepted and is not on stable storage", i)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if want := []string{"write", "sync", "250", "write", "sync", "250", "write", "sync", "250"}; !slices.Equal(f.events, want) {
		t.Errorf("the order was %v", f.events)
	}
}

func TestWhoComesWhileTheDiskIsBusyIsCommittedTogether(t *testing.T) {
	f := &recorder{blocked: make(chan struct{}), going: make(chan struct{})}
	j, _ := running(t, f)
	first := submit(j, "first\r\n.\r\n")
	<-f.blocked
	var others []*message
	for range 10 {
		others = append(others, submit(j, "other\r\n.\r\n"))
	}
	select {
	case <-first.synced:
		t.Error("accepted before the disk had answered")
	default:
	}
	f.going <- struct{}{}
	<-first.synced
	<-f.blocked // one group of all others
	f.going <- struct{}{}
	for _, m := range others {
		if err := <-m.synced; err != nil {
			t.Error(err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if want := []string{"write", "sync", "write", "sync"}; !slices.Equal(f.events, want) {
		t.Errorf("the order was %v", f.events)
	}
}

func TestAFailureOfTheDiskIsFinal(t *testing.T) {
	broken := errors.New("input/output error")
	for name, f := range map[string]*recorder{"write": {failWrite: broken}, "sync": {failSync: broken}} {
		t.Run(name, func(t *testing.T) {
			j, accepted := running(t, f)
			if err := <-submit(j, "one\r\n.\r\n").synced; !errors.Is(err, broken) {
				t.Errorf("the answer is %v", err)
			}
			f.mu.Lock()
			f.failWrite, f.failSync = nil, nil
			f.mu.Unlock()
			if err := <-submit(j, "two\r\n.\r\n").synced; !errors.Is(err, broken) {
				t.Errorf("after a failure the answer is %v", err)
			}
			if n := accepted(); n != 0 {
				t.Errorf("%d were accepted", n)
			}
		})
	}
}

func TestWhatWasNotSentOnIsFoundInTheLog(t *testing.T) {
	f := &recorder{}
	j, _ := running(t, f)
	large := string(bytes.Repeat([]byte("x"), 2*apart)) + "\r\n.\r\n"
	var all []*message
	for _, content := range []string{"zero\r\n.\r\n", "one\r\n.\r\n", large, "three\r\n.\r\n"} {
		m := submit(j, content)
		if err := <-m.synced; err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	j.forget(all[1])
	last := submit(j, "last\r\n.\r\n") // its group carries the mark of what was forgotten
	if err := <-last.synced; err != nil {
		t.Fatal(err)
	}
	if again, err := j.read(all[2]); err != nil || string(again) != large {
		t.Errorf("%d bytes were read back: %v", len(again), err)
	}
	want := []string{"zero\r\n.\r\n", large, "three\r\n.\r\n", "last\r\n.\r\n"}
	if got := contents(t, f.synced); !slices.Equal(got, want) {
		t.Errorf("found %.100q", got)
	}
	// A power cut in the middle of a write leaves what was before.
	torn := append(slices.Clone(f.synced), newJournal(nil).record(nil, 9, []byte("MAIL"), []byte("torn"))...)
	if got := contents(t, torn); !slices.Equal(got, want) {
		t.Errorf("found %.100q behind a torn write", got)
	}
}

func TestAnEmptyLogStartsAgainAndOldRecordsDoNotComeBack(t *testing.T) {
	f := &recorder{}
	j, _ := running(t, f)
	var big []*message
	for range 3 {
		m := submit(j, string(bytes.Repeat([]byte("y"), rewindAt/2)))
		if err := <-m.synced; err != nil {
			t.Fatal(err)
		}
		big = append(big, m)
	}
	for _, m := range big {
		j.forget(m)
	}
	if err := <-submit(j, "new\r\n.\r\n").synced; err != nil {
		t.Fatal(err)
	}
	if got := contents(t, f.synced); !slices.Equal(got, []string{"new\r\n.\r\n"}) {
		t.Errorf("found %d messages, %.60q", len(got), got)
	}
}

// contents reads a log as a relay does at its start.
func contents(t *testing.T, data []byte) []string {
	t.Helper()
	left, err := newJournal(&recorder{data: data}).recover()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range left {
		out = append(out, string(m.content))
	}
	return out
}

func TestItRelaysOverTLSAndAfterARestart(t *testing.T) {
	c := pki.New(time.Now(), "Null CA").Issue(pki.Options{Names: []string{"null.test"}})
	pair, err := tls.X509KeyPair(c.CertPEM, c.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	server, client := &tls.Config{Certificates: []tls.Certificate{pair}}, &tls.Config{InsecureSkipVerify: true}
	target, err := sink.Listen("127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	config := Config{Log: filepath.Join(t.TempDir(), "log"), Server: server, Next: "127.0.0.1:1", Client: client,
		Hops: map[string]string{"d0.bench.test": target.Addr(), "d1.bench.test": target.Addr()}}
	load := source.Load{TLS: client, Run: 1, Messages: 60, Connections: 5, PerConnection: 7, Recipients: 1, Domains: 2, Size: 40_000}
	relayed := target.Expect(1, load.Messages, 1)
	serve(t, config, func(address string) {
		load.Address = address
		if _, err := source.Run(t.Context(), load); err != nil {
			t.Fatal(err)
		}
		if err := relayed.Wait(t.Context(), 10*time.Second); err != nil {
			t.Error(err)
		}
	})
	// What is accepted for a server that is away goes after a restart.
	config.Hops = nil
	load.Run, load.Messages = 2, 5
	serve(t, config, func(address string) {
		load.Address = address
		if _, err := source.Run(t.Context(), load); err != nil {
			t.Fatal(err)
		}
	})
	config.Next = target.Addr()
	waiting := target.Expect(2, load.Messages, 1)
	serve(t, config, func(string) {
		if err := waiting.Wait(t.Context(), 10*time.Second); err != nil {
			t.Error(err)
		}
	})
	if n := target.Strangers(); n != 0 {
		t.Errorf("%d messages were sent on a second time", n)
	}
}

// serve runs a relay while do is running.
func serve(t *testing.T, c Config, do func(address string)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, c) }()
	defer func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the relay ended with %v", err)
		}
	}()
	do(l.Addr().String())
}

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"postern/bench/measure"
	"postern/bench/source"
	"postern/bench/wire"
)

// hostTakes is how long a policy host takes to answer where first mails are measured: as one far away.
const hostTakes = 100 * time.Millisecond

// FirstMails is what the first mail to a domain waits for, in milliseconds, beside the fetch of a policy alone.
type FirstMails struct {
	Mails            int
	Fetch50, Fetch99 float64
	// to domains that have a policy: from the end of the message until it was at the next hop
	Policy50, Policy99 float64
	Bare50, Bare99     float64 // to domains that publish nothing
}

// String is a line for people.
func (f FirstMails) String() string {
	return fmt.Sprintf("first mail to %d domains with a policy, ms: p50 %.1f, p99 %.1f; a fetch alone p50 %.1f, "+
		"p99 %.1f: p99 %.2f x its p50 (wanted below 2); to domains without p50 %.1f, p99 %.1f", f.Mails, f.Policy50,
		f.Policy99, f.Fetch50, f.Fetch99, f.Policy99/f.Fetch50, f.Bare50, f.Bare99)
}

// firstMails sends one message after the other, each to a domain of its own, to a gateway that knows nothing.
func (b *bench) firstMails(ctx context.Context, p *published, n int) (FirstMails, error) {
	p.delay.Store(int64(hostTakes))
	defer p.delay.Store(0)
	f := FirstMails{Mails: n}
	bare, err := b.firsts(ctx, p.contestant("bare", p.bare), n)
	if err != nil {
		return f, err
	}
	whole, err := b.firsts(ctx, p.contestant("whole", p.whole), n)
	if err != nil {
		return f, err
	}
	fetches, err := b.fetches(n)
	f.Fetch50, f.Fetch99 = ms(fetches.Percentile(50)), ms(fetches.Percentile(99))
	f.Policy50, f.Policy99 = ms(whole.Percentile(50)), ms(whole.Percentile(99))
	f.Bare50, f.Bare99 = ms(bare.Percentile(50)), ms(bare.Percentile(99))
	return f, err
}

// firsts are the times from the end of a message until the sink had it.
func (b *bench) firsts(ctx context.Context, c Contestant, n int) (measure.Samples, error) {
	s, err := b.start(ctx, c, ordinary())
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	conn, err := wire.Dial(s.Address(), "source.test", clientTLS())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var took measure.Samples
	for i := range n {
		b.run++
		expected := b.secure.Expect(b.run, 1, 1)
		message := strings.ReplaceAll(string(source.Message(4096)), strings.Repeat("0", 16), source.Number(b.run, 0))
		for _, step := range []struct {
			command string
			code    int
		}{
			{"MAIL FROM:<load@source.test>", 250},
			{fmt.Sprintf("RCPT TO:<r@first%d.bench.test>", i), 250},
			{"DATA", 354},
		} {
			if err = conn.Send([]byte(step.command + "\r\n")); err == nil {
				err = conn.Expect(step.code)
			}
			if err != nil {
				return nil, err
			}
		}
		began := time.Now()
		if err = conn.Send([]byte(message)); err == nil {
			err = conn.Expect(250)
		}
		if err == nil {
			err = expected.Wait(ctx, b.patience)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, mail %d: %w", c.Name, i, err)
		}
		took = append(took, expected.Last().Sub(began))
	}
	return measure.Merge(took), nil
}

// fetches are the times of fetching a policy as a stranger would, each over a connection of its own.
func (b *bench) fetches(n int) (measure.Samples, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: b.ca.Pool()},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, policyIP+":443")
		}}}
	var took measure.Samples
	for i := range n {
		began := time.Now()
		r, err := client.Get(fmt.Sprintf("https://mta-sts.first%d.bench.test/.well-known/mta-sts.txt", i))
		if err != nil {
			return nil, err
		}
		_, err = io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
	}
	return measure.Merge(took), nil
}

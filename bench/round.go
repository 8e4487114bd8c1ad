package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"postern/bench/measure"
	"postern/bench/rig"
	"postern/bench/sink"
	"postern/bench/source"
	"postern/internal/lab/pki"
)

// Round is what one server did in one round of one kind of work.
type Round struct {
	Messages int `json:"messages"`
	// Rate is messages a second, end to end: from the source's first connection until the sink had the last message.
	Rate float64 `json:"rate"`
	// AcceptRate is the same until the last message was accepted.
	AcceptRate float64 `json:"accept_rate"`
	// CPU is microseconds of processor time for each message, of all the server's processes; Harness is that of source
	// and sink.
	CPU     float64 `json:"cpu_us"`
	Harness float64 `json:"harness_cpu_us"`
	// Milliseconds from the last byte of a message until 250, and from MAIL until 250.
	Reply50 float64 `json:"reply_p50_ms"`
	Reply90 float64 `json:"reply_p90_ms"`
	Reply99 float64 `json:"reply_p99_ms"`
	Whole50 float64 `json:"whole_p50_ms"`
	Whole99 float64 `json:"whole_p99_ms"`
	// Memory is the most that all processes together had resident, MiB.
	Memory float64 `json:"memory_mib"`
	// Connections the server made to the sink; Retried tries of the source that failed and were made again.
	Connections int64 `json:"sink_connections"`
	Retried     int   `json:"retried"`
	// Calibration is what a fixed piece of work took just before, in milliseconds; Foreign is the share of the machine
	// that others took during the round.
	Calibration float64 `json:"calibration_ms"`
	Foreign     float64 `json:"foreign"`
}

// bench is what all rounds share: the sink, the certificate and the programs.
type bench struct {
	plain, secure *sink.Sink
	ca            *pki.CA
	cert          *pki.Certificate
	postern, self string
	run           uint32
	patience      time.Duration
	silent        bool
	listening     map[bool]int // hops the sinks have, with TLS and without
}

func newBench(posternBinary string) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ca := pki.New(time.Now(), "Bench CA")
	b := &bench{ca: ca, cert: ca.Issue(pki.Options{Names: []string{"gw.test", "sink.test"}}), postern: posternBinary,
		self: self, patience: 30 * time.Second, listening: map[bool]int{}}
	pair, err := tls.X509KeyPair(b.cert.CertPEM, b.cert.KeyPEM)
	if err != nil {
		return nil, err
	}
	if b.plain, err = sink.Listen("127.0.0.1:0", nil); err != nil {
		return nil, err
	}
	if b.secure, err = sink.Listen("127.0.0.1:0", serverTLS(pair)); err != nil {
		b.plain.Close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() {
	b.plain.Close()
	b.secure.Close()
}

func (b *bench) sink(tls bool) *sink.Sink {
	if tls {
		return b.secure
	}
	return b.plain
}

// start runs a server for a kind of work.
func (b *bench) start(ctx context.Context, c Contestant, w Work) (*rig.Server, error) {
	if err := b.hops(w); err != nil {
		return nil, err
	}
	port, err := rig.FreePort()
	if err != nil {
		return nil, err
	}
	settings := c.Settings
	if c.Store != "" {
		settings = map[string]string{"store": strconv.Quote(c.Store)}
	}
	return rig.Start(ctx, rig.Spec{Kind: c.Kind, Port: port, Sink: b.sink(w.TLS).Addr(), TLS: w.TLS,
		Cert: b.cert.CertPEM, Key: b.cert.KeyPEM,
		Binary: b.postern, Bench: b.self, Rules: rulesFile(c.Rules), Folder: c.Folder, Hops: w.Hops,
		Settings: settings, MX: c.Settings != nil})
}

// hops makes the sink listen at as many addresses as a kind of work needs.
func (b *bench) hops(w Work) error {
	for ; b.listening[w.TLS] < w.Hops; b.listening[w.TLS]++ {
		if err := b.sink(w.TLS).Also(rig.Hop(b.listening[w.TLS], b.sink(w.TLS).Addr())); err != nil {
			return err
		}
	}
	return nil
}

// round puts a server through n messages of a kind of work.
func (b *bench) round(ctx context.Context, s *rig.Server, w Work, n int) (Round, error) {
	b.run++
	target := b.sink(w.TLS)
	load := source.Load{Address: s.Address(), Run: b.run, Messages: n, Connections: w.Connections,
		PerConnection: w.PerConnection, Recipients: w.Recipients, Domains: w.Domains, Size: w.Size}
	if w.TLS {
		load.TLS = clientTLS()
	}
	r := Round{Messages: n, Calibration: ms(measure.Calibrate())}
	runtime.GC()
	expected := target.Expect(b.run, n, w.Recipients)
	connections, cpu, own, busy, began := target.Connections(), s.Tree.CPU(), measure.Own(), measure.Busy(), time.Now()
	watch := watchMemory(s)
	sent, err := source.Run(ctx, load)
	if err == nil {
		err = expected.Wait(ctx, b.patience)
	}
	harness := measure.Own() - own
	r.Memory = watch()
	if err != nil {
		return r, fmt.Errorf("%s, %s: %w", s.Spec.Kind, w, err)
	}
	used := s.Quiet(ctx, 5*time.Second) - cpu
	elapsed, all := time.Since(began), measure.Busy()-busy
	r.Foreign = max(0, float64(all-used-(measure.Own()-own))/float64(elapsed)/float64(runtime.NumCPU()))
	if faults := expected.Faults(); faults != "" {
		return r, fmt.Errorf("%s, %s: %s", s.Spec.Kind, w, faults)
	}
	r.Rate = float64(n) / expected.Last().Sub(sent.Start).Seconds()
	r.AcceptRate = float64(n) / sent.End.Sub(sent.Start).Seconds()
	r.CPU, r.Harness = us(used)/float64(n), us(harness)/float64(n)
	r.Reply50, r.Reply90, r.Reply99 = ms(sent.Reply.Percentile(50)), ms(sent.Reply.Percentile(90)),
		ms(sent.Reply.Percentile(99))
	r.Whole50, r.Whole99 = ms(sent.Whole.Percentile(50)), ms(sent.Whole.Percentile(99))
	r.Connections, r.Retried = target.Connections()-connections, sent.Retried
	return r, nil
}

// watchMemory looks at a server's memory now and then until the returned function is called, which says the most seen,
// in MiB.
func watchMemory(s *rig.Server) func() float64 {
	stop, most := make(chan struct{}), make(chan int64)
	go func() {
		var m int64
		for tick := time.NewTicker(700 * time.Millisecond); ; {
			select {
			case <-tick.C:
				m = max(m, s.Tree.Memory())
			case <-stop:
				tick.Stop()
				most <- max(m, s.Tree.Memory())
				return
			}
		}
	}()
	return func() float64 {
		close(stop)
		return float64(<-most) / (1 << 20)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

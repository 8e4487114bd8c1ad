package pgstore

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/internal/attempt"
	"postern/internal/policy"
	"postern/internal/queue"
)

// BenchmarkLife is whole lives of messages of 4 KiB: 32 senders hand them in, four workers claim up to 50, open and
// settle each.
func BenchmarkLife(b *testing.B) {
	s := open(b, fresh(b))
	defer s.Close()
	body := bytes.Repeat([]byte("0123456789abcdef"), 256)
	var made, ended, claims atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	for range 32 {
		group.Go(func() {
			for {
				n := made.Add(1)
				if n > int64(b.N) {
					return
				}
				sub := submission(b, s, int(n), body)
				if err := s.Accept(context.Background(), sub); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	for range 4 {
		group.Go(func() {
			for ended.Load() < int64(b.N) {
				work := claim(b, s, 50)
				if claims.Add(1); len(work) == 0 {
					time.Sleep(time.Millisecond)
				}
				var sent sync.WaitGroup
				for _, w := range work {
					sent.Go(func() {
						if err := deliver(s, w); err != nil {
							b.Error(err)
						}
						ended.Add(1)
					})
				}
				sent.Wait()
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lives/s")
	b.ReportMetric(float64(b.N)/float64(claims.Load()), "claimed")
}

// deliver does what a worker does, but for sending.
func deliver(s queue.Store, w queue.Work) error {
	r, err := s.Open(context.Background(), w.Message.ID)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	return s.Settle(context.Background(), queue.Batch{Now: begin, Settlements: []queue.Settlement{{Lease: w.Lease, State: queue.Delivered,
		Attempt: &attempt.Attempt{At: begin, TookMS: 3}, Reached: policy.Encrypted}}})
}

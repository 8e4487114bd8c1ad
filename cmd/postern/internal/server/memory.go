package server

import (
	"context"
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"postern/internal/platform/ram"
)

// keepWithin tells the Go runtime how much it may take. A lower GOMEMLIMIT stays.
func keepWithin(p *ram.Plan) { debug.SetMemoryLimit(min(p.GoLimit(), debug.SetMemoryLimit(-1))) }

// Memory is tight when what is in use comes so near to the plan that another session could not be paid for, and roomy
// again some way below.
const (
	tightAt = 90 // percent of the plan resident, or of the runtime's limit in use
	roomyAt = 80
	ampleAt = 70
	// looked is how often that is looked at. A session that begins in between is paid for by the plan.
	looked = 100 * time.Millisecond
	// tightWarned is how often it is told.
	tightWarned = 10 * time.Minute
)

// watchMemory is the second fence behind the plan: it measures, and while memory is tight nobody new is let in.
func (g *Gateway) watchMemory(ctx context.Context) error {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	tick := time.NewTicker(looked)
	defer tick.Stop()
	var told time.Time
	tight := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		metrics.Read(samples)
		live := int64(samples[0].Value.Uint64() + samples[1].Value.Uint64())
		used := max(percent(live, g.plan.GoLimit()), percent(ram.Resident(), g.plan.Total))
		tight = used >= tightAt || tight && used > roomyAt
		g.memoryOfContent.SetTight(tight)
		g.memoryOfSessions.SetTight(tight)
		g.memoryOfSessions.SetAmple(used < ampleAt)
		if tight && time.Since(told) > tightWarned {
			told = time.Now()
			g.warn("memory", fmt.Errorf("%d MiB of %d MiB are in use; new clients hear 421 until there is room",
				used*g.plan.Total/100>>20, g.plan.Total>>20),
				"`postern config check` shows what the limits may cost; give the gateway more memory, or lower "+
					"limits.connections")
		}
	}
}

func percent(n, of int64) int64 { return n * 100 / max(of, 1) }

package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"postern/internal/config"
	"postern/internal/platform/ram"
	"postern/internal/smtp/smtpserver"
)

// adminMemory is what each connection at the admin port may cost: buffers, a body of 64 KiB as it came and as a form, a page.
const adminMemory = 192 << 10

// memoryPlan says who may take how much of the memory there is.
func memoryPlan(cfg *config.Config, found ram.Found) ram.Plan {
	w := ram.Wishes{
		Memory: cfg.Limits.Memory, Content: cfg.Limits.ContentMemory, Young: cfg.Queue.Memory,
		Sessions: cfg.Limits.Connections, Outbound: cfg.Delivery.Outbound() + cfg.Asking.Outbound(), Session: smtpserver.SessionMemory,
	}
	if len(cfg.TLS.Certificates) > 0 {
		w.Session += smtpserver.TLSMemory
	}
	if cfg.Admin.Listen != "" {
		w.Admin = int64(cfg.Admin.Connections) * adminMemory
	}
	return ram.Make(w, found)
}

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
func (g *gateway) watchMemory(ctx context.Context) error {
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
			g.warn("memory", fmt.Errorf("%d MiB of %d MiB are in use; new clients hear 421 until there is room", used*g.plan.Total/100>>20, g.plan.Total>>20),
				"`postern config check` shows what the limits may cost; give the gateway more memory, or lower limits.connections")
		}
	}
}

func percent(n, of int64) int64 { return n * 100 / max(of, 1) }

// costs is the plan in words, a line for each part.
func costs(p *ram.Plan) []string {
	mib := func(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
	there := "how much there is nobody tells"
	if p.Whole.Bytes > 0 {
		there = fmt.Sprintf("of %s (%s)", mib(p.Whole.Bytes), p.Whole.Source)
	}
	return []string{
		fmt.Sprintf("memory: at most %s %s", mib(p.Total), there),
		fmt.Sprintf("memory: %d client sessions %s, content %s, mail of the last seconds %s, store %s, revocation lists %s, %d outbound connections %s",
			p.Sessions, mib(p.SessionRoom), mib(p.Content), mib(2*p.Young), mib(p.Cache/2*3), mib(p.Lists), p.Outbound, mib(p.OutboundCost())),
	}
}

// exceeding are the wishes of the configuration that do not fit in the memory there is.
func exceeding(cfg *config.Config, p *ram.Plan) (out []config.Finding) {
	if p.SessionRoom < p.Wanted {
		out = append(out, config.Finding{Key: "limits.connections", What: fmt.Sprintf("%d clients can cost %d MiB; there is room for %d, and more hear 421",
			cfg.Limits.Connections, p.Wanted>>20, p.Sessions)})
	}
	if p.Over > 0 {
		out = append(out, config.Finding{Key: "limits.memory", What: fmt.Sprintf("the limits can cost %d MiB, %d MiB more than there is (%s); "+
			"lower delivery.connections, limits.content_memory or queue.memory, or give the gateway more", p.Total>>20, p.Over>>20, p.Whole.Source)})
	}
	return out
}

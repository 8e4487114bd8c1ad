package confcheck

import (
	"fmt"

	"postern/internal/config"
	"postern/internal/platform/ram"
)

// costs is the plan in words, a line for each part.
func costs(p *ram.Plan) []string {
	mib := func(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
	there := "how much there is nobody tells"
	if p.Whole.Bytes > 0 {
		there = fmt.Sprintf("of %s (%s)", mib(p.Whole.Bytes), p.Whole.Source)
	}
	return []string{
		fmt.Sprintf("memory: at most %s %s", mib(p.Total), there),
		fmt.Sprintf("memory: %d client sessions %s, content %s, mail of the last seconds %s, store %s, revocation "+
			"lists %s, policies of domains %s, %d outbound connections %s",
			p.Sessions, mib(p.SessionRoom), mib(p.Content), mib(2*p.Young), mib(p.Cache/2*3), mib(p.Lists),
			mib(p.Domains), p.Outbound, mib(p.OutboundCost())),
	}
}

// Exceeding are the wishes of the configuration that do not fit in the memory there is.
func Exceeding(cfg *config.Config, p *ram.Plan) (out []config.Finding) {
	if p.SessionRoom < p.Wanted {
		out = append(out, config.Finding{Key: "limits.connections",
			What: fmt.Sprintf("%d clients can cost %d MiB; there is room for %d, and more hear 421",
				cfg.Limits.Connections, p.Wanted>>20, p.Sessions)})
	}
	if p.Over > 0 {
		out = append(out, config.Finding{Key: "limits.memory",
			What: fmt.Sprintf("the limits can cost %d MiB, %d MiB more than there is (%s); "+
				"lower delivery.connections, limits.content_memory or queue.memory, or give the gateway more",
				p.Total>>20, p.Over>>20, p.Whole.Source)})
	}
	return out
}

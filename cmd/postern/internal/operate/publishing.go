package operate

import (
	"strings"

	"postern/cmd/postern/internal/cli"
	"postern/internal/operator/admin"
)

// sayPublishing prints what a recipient's domain and its hosts publish, and what that adds.
func sayPublishing(a *cli.App, p *admin.Publishing) {
	if p.NotAsked != "" {
		a.Detail("  ", "Published", "not asked: "+p.NotAsked)
		return
	}
	if p.Reason != "" {
		a.Detail("  ", "Cannot go now", string(p.Reason)+": "+p.Text)
	}
	for _, x := range p.Exceptions {
		a.Detail("  ", "Set aside", x)
	}
	if p.ByAdmin {
		a.Detail("  ", "Mail hosts", "named in the configuration, so that MTA-STS does not speak of them")
	}
	for i := range p.Hosts {
		sayPublishingHost(a, &p.Hosts[i])
	}
}

func sayPublishingHost(a *cli.App, h *admin.PublishingHost) {
	if h.Reason != "" {
		a.Detail("  ", "Passed over", h.Host+": "+string(h.Reason)+": "+h.Text)
	}
	for i := range h.Published {
		p := &h.Published[i]
		a.Detail("  ", "Published", h.Host+": "+p.Line(p.AgeS, ""))
	}
	switch {
	case len(h.Adds) > 0:
		a.Detail("  ", "Adds", h.Host+": "+strings.Join(h.Adds, "; "))
	case len(h.Published) > 0:
		a.Detail("  ", "Adds", h.Host+": nothing")
	case h.Reason == "":
		a.Detail("  ", "Published", h.Host+": nothing")
	}
}

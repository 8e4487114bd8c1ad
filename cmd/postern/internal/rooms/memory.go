package rooms

import (
	"postern/internal/config"
	"postern/internal/gateway/publicweb"
	"postern/internal/platform/ram"
	"postern/internal/smtp/smtpserver"
)

// adminMemory is what each connection at the admin port may cost: buffers, a body of 64 KiB as it came and as a form, a
// page.
const adminMemory = 192 << 10

// MemoryPlan says who may take how much of the memory there is.
func MemoryPlan(cfg *config.Config, found ram.Found) ram.Plan {
	w := ram.Wishes{
		Memory: cfg.Limits.Memory, Content: cfg.Limits.ContentMemory, Young: cfg.Queue.Memory,
		Sessions: cfg.Limits.Connections, Outbound: cfg.Delivery.Outbound() + cfg.Asking.Outbound(),
		Session: smtpserver.SessionMemory,
	}
	if cfg.TLS.Offered() {
		w.Session += smtpserver.TLSMemory
	}
	if cfg.Admin.Listen != "" {
		w.Admin = int64(cfg.Admin.Connections) * adminMemory
	}
	w.Admin += int64(WebConnections(cfg)) * publicweb.ConnectionMemory
	if cfg.TLSRPT.ReceiveHTTPS {
		w.Admin += publicweb.Reports * publicweb.ReportMemory
	}
	return ram.Make(w, found)
}

// WebConnections is how many connections of strangers there can be at the listeners of mode web and acme.
func WebConnections(cfg *config.Config) (n int) {
	for _, l := range cfg.Listen {
		if !l.Mode.TakesMail() {
			n += publicweb.Connections
		}
	}
	return n
}

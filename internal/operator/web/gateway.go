package web

import (
	"strings"

	"postern/internal/check"
	"postern/internal/mail/received"
	"postern/internal/operator/access"
	"postern/internal/operator/admin"
)

// settingsView is the configuration in force.
type settingsView struct {
	Settings  admin.Settings
	CanReload bool
	Done      string
}

func (c *Console) settings(r *request) error {
	v := settingsView{CanReload: r.who.May(access.ReloadFiles), Done: c.done(r)}
	var err error
	if v.Settings, err = r.desk.Settings(r.ctx()); err != nil {
		return err
	}
	return c.page(r, "settings", "Gateway", v)
}

func (c *Console) reload(r *request) error {
	out, err := r.desk.Reload(r.ctx())
	if err != nil {
		return err
	}
	done := "the files were read again"
	if n := len(out.NeedRestart); n > 0 {
		done += "; after a restart holds what they say of " + strings.Join(out.NeedRestart[:min(n, 10)], ", ")
		if n > 10 {
			done += " and more"
		}
	}
	return c.toSay(r, "/gateway", done)
}

// certificatesView is our own chains.
type certificatesView struct{ Own []check.Own }

func (c *Console) certificates(r *request) error {
	own, err := r.desk.Certificates(r.ctx())
	if err != nil {
		return err
	}
	return c.page(r, "certificates", "Our certificates", certificatesView{own})
}

// headersView is a header and the way it tells of.
type headersView struct {
	Header, Trust, Problem string
	Report                 *received.Report
}

func (c *Console) headers(r *request) error {
	v := headersView{Header: r.PostFormValue("header"), Trust: r.PostFormValue("trust")}
	if strings.TrimSpace(v.Header) == "" {
		return c.page(r, "headers", "Read a header", v)
	}
	trust, err := received.ParseTrust(strings.Fields(v.Trust))
	found := received.Extract([]byte(strings.ReplaceAll(v.Header, "\r\n", "\n")))
	switch {
	case err != nil:
		v.Problem = sentence(err)
	case len(found.Received) == 0:
		v.Problem = "There is no Received line in it: nothing is recorded about how this message travelled."
	default:
		report := received.Trace(found.Received, trust)
		v.Report = &report
	}
	return c.page(r, "headers", "Read a header", v)
}

// hopState is the colour of a hop.
func hopState(h received.Hop) string {
	switch {
	case h.Inside:
		return ""
	case h.State == received.Yes:
		return "delivered"
	case h.State == received.No:
		return "failed"
	}
	return "held"
}

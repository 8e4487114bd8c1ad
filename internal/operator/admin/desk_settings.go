package admin

import (
	"context"
	"strings"
	"time"

	"postern/internal/check"
	"postern/internal/operator/access"
	"postern/internal/operator/audit"
	"postern/internal/operator/waiting"
	"postern/internal/smtp"
)

// Settings is the configuration in force, to be looked at.
type Settings struct {
	Path string `json:"path"` // of the file, "" where nobody named one
	TOML string `json:"toml"` // with the defaults, without the hashes of passwords
	// Domains are those we receive for, Routes and Listeners as the file says.
	Domains   []DomainSetting   `json:"domains"`
	Routes    []RouteSetting    `json:"routes"`
	Listeners []ListenerSetting `json:"listeners"`
	// Records is what was found at the last look at the records of our own domains; nil before the first.
	Records *RecordsLook `json:"records,omitempty"`
}

// RecordsLook is a look at the records of our own domains in DNS, and at their policy hosts.
type RecordsLook struct {
	At       time.Time       `json:"at"`
	Findings []RecordFinding `json:"findings"` // none: all is well
}

// RecordFinding is something wrong with them, or that could not be found out, as `postern records --check` tells it.
type RecordFinding struct {
	Domain   string `json:"domain"` // "" where it is about a host of ours
	Name     string `json:"name"`
	Code     string `json:"code"`
	Severity string `json:"severity"` // "error", "warning" or "unknown"
	Message  string `json:"message"`
	There    string `json:"there"`
	Want     string `json:"want"`
	Hint     string `json:"hint"`
}

// DomainSetting is a domain we receive for.
type DomainSetting struct {
	Name      string   `json:"name"`
	DeliverTo []string `json:"deliver_to"`
	Requires  string   `json:"requires"` // the level of the leg to its servers
	Trust     string   `json:"trust,omitempty"`
}

// RouteSetting sends mail for some domains to named hosts.
type RouteSetting struct {
	Match []string `json:"match"`
	To    []string `json:"to"`
}

// ListenerSetting is where mail comes in.
type ListenerSetting struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Mode    string `json:"mode"`
	Demands string `json:"demands,omitempty"` // of clients, in words
}

// Settings shows the configuration in force.
func (d *Desk) Settings(context.Context) (Settings, error) {
	if err := d.who.Need(access.ReadSettings); err != nil {
		return Settings{}, err
	}
	if d.s.cfg.Settings == nil {
		return Settings{}, access.ErrNotFound
	}
	return d.s.cfg.Settings(), nil
}

// Certificates shows our own chains as partners see them; not to a scope of domains, for they name files and hosts of
// all.
func (d *Desk) Certificates(context.Context) ([]check.Own, error) {
	if err := d.who.Wide(access.ReadStatus); err != nil {
		return nil, err
	}
	if d.s.cfg.Certificates == nil {
		return []check.Own{}, nil
	}
	return d.s.cfg.Certificates()
}

// ReloadResult says what came of reading the files again.
type ReloadResult struct {
	// NeedRestart are the keys that the file changes and that hold only after a restart.
	NeedRestart []string `json:"need_restart"`
	// Faults are what is wrong or dangerous in what is in force now.
	Faults []ReloadFault `json:"faults"`
	// Waiting is how much of what waits holds more than is demanded now, and keeps it.
	Waiting waiting.Surplus `json:"waiting"`
}

// ReloadFault is one fault of a configuration that was taken.
type ReloadFault struct {
	Key  string `json:"key"`
	Text string `json:"message"`
	Hint string `json:"hint,omitempty"`
}

// Reload reads the configuration again, with certificates and private CAs, as SIGHUP does, and returns when it is in
// force. One that cannot be used is ErrNotTaken and changes nothing.
func (d *Desk) Reload(ctx context.Context) (ReloadResult, error) {
	if err := d.who.Need(access.ReloadFiles); err != nil {
		return ReloadResult{}, err
	}
	if d.s.cfg.Reload == nil {
		return ReloadResult{}, access.BadRequest("this gateway was started without a configuration file")
	}
	out, err := d.reread(ctx)
	if view := d.s.cfg.Rules.Now(); err == nil && view.Err == nil {
		out.Waiting, err = d.s.queue.Surplus(ctx, view.Rules, nil)
	}
	return out, err
}

// reloadMost bounds what the audit trail says of a reload that failed.
const reloadMost = 2000

// Reread is Reload without the count of what waits: nobody reads that after a SIGHUP, which others wait behind.
func (d *Desk) Reread(ctx context.Context) (ReloadResult, error) {
	if err := d.who.Need(access.ReloadFiles); err != nil {
		return ReloadResult{}, err
	}
	return d.reread(ctx)
}

// reread reads the files again, and tells the audit trail what came of it.
func (d *Desk) reread(ctx context.Context) (ReloadResult, error) {
	by, err := d.who.Author()
	if err != nil {
		return ReloadResult{}, err
	}
	out, failed := d.s.cfg.Reload(ctx)
	e := audit.Entry{At: time.Now(), By: by, Action: "reload configuration", Target: d.s.cfg.ConfigFile,
		After: "in force"}
	if len(out.NeedRestart) > 0 {
		e.After += ", but after a restart only: " + smtp.Printable(strings.Join(out.NeedRestart, ", "), reloadMost)
	}
	if failed != nil {
		e.Action, e.After = "reload configuration failed", smtp.Printable(failed.Error(), reloadMost)
	}
	err = d.who.Record(context.WithoutCancel(ctx), e)
	if failed != nil {
		return out, failed // the log tells the other
	}
	return out, err
}

package confcheck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/cmd/postern/internal/process"
	"postern/cmd/postern/internal/rooms"
	"postern/cmd/postern/internal/sockets"
	"postern/internal/config"
	"postern/internal/operator/api"
	"postern/internal/platform/ram"
	"postern/internal/platform/sandbox"
	"postern/internal/policy/ruleedit"
	"postern/internal/policy/rules"
)

// outlook is what a configuration would meet on this machine at this moment; judged says that it is the gateway's user
// who asks.
func outlook(a *cli.App, cfg *config.Config, plan *ram.Plan, judged bool) (out []config.Finding) {
	if f := dataFinding(string(cfg.Data), judged); f != nil {
		out = append(out, *f)
	}
	unit := sockets.ReadUnit(sockets.UnitFolders(a.Getenv("SYSTEMD_UNIT_PATH")))
	out = append(out, unit.Findings(cfg)...)
	out = append(out, sockets.Overlaps(cfg, unit.Taken(cfg))...)
	if api.Asked(cfg.Socket()) == nil { // otherwise the ports are the running gateway's
		out = append(out, ports(cfg, unit)...)
	}
	out = append(out, Exceeding(cfg, plan)...)
	return append(out, ruleFiles(a, cfg)...)
}

// dataFinding says why mail could not be written into the data folder. It is fatal where whoever asks is the gateway's
// user, or would be.
func dataFinding(dir string, judged bool) *config.Finding {
	name, _ := process.ProcessUser()
	at, missing := dir, false
	for {
		_, err := os.Stat(at)
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(at) == at {
			break
		}
		at, missing = filepath.Dir(at), true
	}
	err := mayWrite(at)
	if err == nil {
		return nil
	}
	f := &config.Finding{Key: "data", Fatal: judged && !missing,
		What: fmt.Sprintf("%s cannot be written by user %s: %v", at, name, err),
		Hint: fmt.Sprintf("`install -d -o %s -m 700 %s`", name, dir)}
	if missing {
		f.What = fmt.Sprintf("%s is not there, and user %s cannot make it in %s: %v", dir, name, at, err)
	}
	owner, ownerErr := sandbox.Owner(at)
	if !missing && ownerErr == nil && owner.UID != os.Geteuid() {
		f.What += "; it belongs to user " + owner.Name
		f.Hint = fmt.Sprintf("check as the gateway's user, who would be %s: `sudo postern config check`", owner.Name)
	}
	return f
}

// ports says which listeners cannot be opened now, but for those whose sockets systemd opens.
func ports(cfg *config.Config, unit sockets.Unit) (out []config.Finding) {
	look := func(key, address string, handed bool) {
		at := sockets.PlaceOf(address).At
		if handed || at.IsValid() && at.Port() == 0 && at.Addr().IsUnspecified() {
			return
		}
		l, err := net.Listen("tcp", address)
		switch {
		case err == nil:
			_ = l.Close() // only tried
		case errors.Is(err, syscall.EADDRINUSE):
			out = append(out, config.Finding{Key: key, What: fmt.Sprintf("another program listens at %s now", address),
				Hint: "stop it before the gateway starts: `ss -ltnp` shows it"})
		case errors.Is(err, fs.ErrPermission):
			out = append(out, config.Finding{Key: key, What: fmt.Sprintf("whoever asks here may not open %s", address),
				Hint: "start as root with process.user, or with CAP_NET_BIND_SERVICE as the package's unit does"})
		default:
			out = append(out, config.Finding{Key: key, Fatal: true,
				What: fmt.Sprintf("cannot listen at %s: %v", address, bareCause(err)),
				Hint: "name an address that this machine has, or :port for all of them"})
		}
	}
	handed := unit.Taken(cfg)
	for i, lc := range cfg.Listen {
		look(fmt.Sprintf("listen[%d].address", i), lc.Address, handed[i])
	}
	if cfg.Admin.Listen != "" {
		look("admin.listen", cfg.Admin.Listen, false)
	}
	return out
}

// bareCause is the system's word of an error, without what the sentence around it says.
func bareCause(err error) error {
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e
	}
	return err
}

// askedWithin is how long a check of the configuration waits for the running gateway.
const askedWithin = 5 * time.Second

// ruleFiles says which files of trust cannot be used that rules in force name, where a gateway runs that can be asked
// for its rules.
func ruleFiles(a *cli.App, cfg *config.Config) (out []config.Finding) {
	ctx, cancel := context.WithTimeout(a.Ctx, askedWithin)
	defer cancel()
	client := api.Dial(cfg.Socket())
	defer client.Close()
	view, err := client.Rules(ctx)
	if err != nil {
		return nil // none runs, or it is for others to ask
	}
	trusted, err := rooms.OpenRoots(cfg, rooms.WarnOfRoots(a.Stderr))
	if err != nil {
		return nil // told as a problem of trust.roots
	}
	text := []byte(view.Text)
	out = routesOf(cfg, view.Revision, text)
	var broken *rules.ParseError
	if !errors.As(ruleedit.CheckFiles("rules", text, rooms.TrustIn(trusted)), &broken) {
		return out
	}
	for _, p := range broken.Problems {
		out = append(out, config.Finding{Key: fmt.Sprintf("rules, line %d of revision %d", p.Line, view.Revision),
			Fatal: true, What: p.What + "; mail that needs it waits with policy-unavailable"})
	}
	return out
}

// routesOf finds rules in force that redirect to a route which the configuration does not have.
func routesOf(cfg *config.Config, revision int64, text []byte) (out []config.Finding) {
	var names []string
	for _, r := range cfg.Route {
		if r.Name != "" {
			names = append(names, r.Name)
		}
	}
	var broken *rules.ParseError
	if !errors.As(ruleedit.CheckRoutes("rules", text, names), &broken) {
		return nil
	}
	for _, p := range broken.Problems {
		out = append(out, config.Finding{Key: fmt.Sprintf("rules, line %d of revision %d", p.Line, revision),
			Fatal: true, What: p.What + "; mail that a rule redirects there waits"})
	}
	return out
}

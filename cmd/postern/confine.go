package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"postern/internal/config"
	"postern/internal/platform/sandbox"
)

// rootless becomes an ordinary user where root started the gateway: the one of process.user, else the owner of the data
// folder. The sockets are opened before, since a port below 1024 is often the reason to start as root. It returns them,
// nil where nothing had to be left.
func rootless(cfg *config.Config) (*sockets, error) {
	id, other, err := servantOf(cfg)
	if err != nil || !other {
		return nil, err
	}
	sockets, err := openSockets(cfg)
	if err != nil {
		return nil, err
	}
	return sockets, id.Become()
}

// becomeServant is rootless for a verb that needs no sockets.
func becomeServant(cfg *config.Config) error {
	id, other, err := servantOf(cfg)
	if err != nil || !other {
		return err
	}
	return id.Become()
}

// servantOf is the user to become, if it is another, who has the data folder then.
func servantOf(cfg *config.Config) (id sandbox.Identity, other bool, err error) {
	id, err = servant(cfg)
	if err != nil || id.UID == os.Geteuid() {
		return id, false, err
	}
	if os.Geteuid() != 0 {
		return id, false, withHint(fmt.Errorf("process.user is %s, and only root can become another user", id.Name),
			"start the gateway as that user or as root, or leave process.user out")
	}
	if err := id.Own(string(cfg.Data)); err != nil {
		return id, false, notOwned(cfg, id, err)
	}
	return id, true, nil
}

func notOwned(cfg *config.Config, id sandbox.Identity, err error) error {
	return withHint(err, fmt.Sprintf("chown -R %s %s, or set process.user to its owner", id.Name, cfg.Data))
}

// standIn becomes the user that the gateway would be, for a check, and says what keeps it from that. judged is whether this
// process may do now what the gateway may.
func standIn(cfg *config.Config) (found []config.Finding, judged bool) {
	tell := func(err error, fatal bool) ([]config.Finding, bool) {
		return []config.Finding{{Key: "process.user", What: err.Error(), Hint: hintOf(err), Fatal: fatal}}, false
	}
	id, err := servant(cfg)
	if err != nil {
		return tell(err, true)
	}
	if id.UID == os.Geteuid() {
		if id.UID == 0 && cfg.Process.User == "" {
			return tell(withHint(errors.New("started by root the gateway would stay root; this check was made as root, and reads what an ordinary user may not"),
				"set process.user, or make the data folder and give it to the user that the gateway is to be"), false)
		}
		return nil, true
	}
	if os.Geteuid() != 0 {
		me, _ := processUser()
		return tell(withHint(fmt.Errorf("checked as user %s, and the gateway is to be %s: what they may read differs", me, id.Name), "`sudo postern config check`"), false)
	}
	owner, err := sandbox.Owner(string(cfg.Data))
	if err == nil && owner.UID != id.UID {
		return tell(notOwned(cfg, id, fmt.Errorf("%s belongs to user %s, not to %s", cfg.Data, owner.Name, id.Name)), true)
	}
	if err := id.Become(); err != nil {
		return tell(err, true)
	}
	if f, err := os.Open(cfg.Path()); err != nil {
		return tell(unreadable(fmt.Errorf("a reload could not read the configuration: %w", err), cfg.Path(), ""), true)
	} else {
		_ = f.Close() // only tried
	}
	return nil, true
}

// servant is the user to run as.
func servant(cfg *config.Config) (sandbox.Identity, error) {
	me := sandbox.Identity{UID: os.Geteuid(), Name: "root"}
	if name := cfg.Process.User; name != "" {
		id, err := sandbox.Lookup(name)
		if err != nil {
			err = withHint(fmt.Errorf("process.user: %w", err), "useradd --system "+name)
		}
		return id, err
	}
	if me.UID != 0 {
		return me, nil
	}
	owner, err := sandbox.Owner(string(cfg.Data))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // of the latter dataFolder tells
		return me, nil
	}
	return owner, err
}

// confine gives up, once all sockets are open, what the process will not need any more. What the system does not offer
// is told, and the gateway runs all the same.
func (g *gateway) confine() {
	tell := func(what string, err error) {
		if err != nil {
			g.log.Warn("the process keeps a right it does not need", "right", what, "err", err)
		}
	}
	tell("dumps of memory", sandbox.NoDumps())
	if os.Geteuid() == 0 {
		if g.cfg.Process.User == "" {
			g.warn("process", errors.New("the gateway runs as root"),
				"set process.user to an ordinary user and chown -R the data folder to it")
		}
	} else {
		tell("capabilities", sandbox.NoCapabilities())
	}
	if !g.cfg.Process.Sandbox {
		return
	}
	folders := writtenFolders(string(g.cfg.Data))
	version, err := sandbox.WriteOnly(folders...)
	if err != nil {
		tell("writing outside the data folder", err)
		return
	}
	g.log.Info("sandbox", "writes", folders, "executes", "nothing", "landlock", version)
}

// writtenFolders is the data folder, and where links in it lead: a spool may lie on another disk.
func writtenFolders(data string) []string {
	out := []string{data}
	entries, err := os.ReadDir(data)
	if err != nil {
		return out
	}
	for _, e := range entries {
		path := filepath.Join(data, e.Name())
		if e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			out = append(out, path)
		}
	}
	return out
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"postern/internal/config"
	"postern/internal/confine"
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
func servantOf(cfg *config.Config) (id confine.Identity, other bool, err error) {
	id, err = servant(cfg)
	if err != nil || id.UID == os.Geteuid() {
		return id, false, err
	}
	if os.Geteuid() != 0 {
		return id, false, withHint(fmt.Errorf("process.user is %s, and only root can become another user", id.Name),
			"start the gateway as that user or as root, or leave process.user out")
	}
	if err := id.Own(string(cfg.Data)); err != nil {
		return id, false, withHint(err, fmt.Sprintf("chown -R %s %s, or set process.user to its owner", id.Name, cfg.Data))
	}
	return id, true, nil
}

// servant is the user to run as.
func servant(cfg *config.Config) (confine.Identity, error) {
	me := confine.Identity{UID: os.Geteuid(), Name: "root"}
	if name := cfg.Process.User; name != "" {
		id, err := confine.Lookup(name)
		if err != nil {
			err = withHint(fmt.Errorf("process.user: %w", err), "useradd --system "+name)
		}
		return id, err
	}
	if me.UID != 0 {
		return me, nil
	}
	owner, err := confine.Owner(string(cfg.Data))
	if errors.Is(err, fs.ErrNotExist) {
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
	tell("dumps of memory", confine.NoDumps())
	if os.Geteuid() == 0 {
		if g.cfg.Process.User == "" {
			g.warn("process", errors.New("the gateway runs as root"),
				"set process.user to an ordinary user and chown -R the data folder to it")
		}
	} else {
		tell("capabilities", confine.NoCapabilities())
	}
	if !g.cfg.Process.Sandbox {
		return
	}
	folders := writtenFolders(string(g.cfg.Data))
	version, err := confine.WriteOnly(folders...)
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

package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"postern/cmd/postern/internal/process"
	"postern/cmd/postern/internal/sockets"
	"postern/internal/config"
	"postern/internal/platform/sandbox"
)

// rootless becomes an ordinary user where root started the gateway: the one of process.user, else the owner of the data
// folder. The sockets are opened before, since a port below 1024 is often the reason to start as root. It returns them,
// nil where nothing had to be left.
func rootless(cfg *config.Config) (*sockets.Set, error) {
	id, other, err := process.ServantOf(cfg)
	if err != nil || !other {
		return nil, err
	}
	sockets, err := sockets.Open(cfg)
	if err != nil {
		return nil, err
	}
	return sockets, id.Become()
}

// confine gives up, once all sockets are open, what the process will not need any more. What the system does not offer
// is told, and the gateway runs all the same.
func (g *Gateway) confine() {
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

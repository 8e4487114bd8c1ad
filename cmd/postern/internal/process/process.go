// Package process says which user the gateway runs as, becomes that user, and explains what a user may not read.
//
// The gateway is to be an ordinary user: the one of process.user, else the owner of the data folder. A verb that works
// on the data folder becomes the same user, so that what it makes is that user's, and a check of the configuration
// stands in for it.
package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"postern/cmd/postern/internal/cli"
	"postern/internal/config"
	"postern/internal/platform/sandbox"
)

// BecomeServant is rootless for a verb that needs no sockets.
func BecomeServant(cfg *config.Config) error {
	id, other, err := ServantOf(cfg)
	if err != nil || !other {
		return err
	}
	return id.Become()
}

// ServantOf is the user to become, if it is another, who has the data folder then.
func ServantOf(cfg *config.Config) (id sandbox.Identity, other bool, err error) {
	id, err = Servant(cfg)
	if err != nil || id.UID == os.Geteuid() {
		return id, false, err
	}
	if os.Geteuid() != 0 {
		return id, false, cli.WithHint(fmt.Errorf("process.user is %s, and only root can become another user", id.Name),
			"start the gateway as that user or as root, or leave process.user out")
	}
	if err := id.Own(string(cfg.Data)); err != nil {
		return id, false, notOwned(cfg, id, err)
	}
	return id, true, nil
}

func notOwned(cfg *config.Config, id sandbox.Identity, err error) error {
	return cli.WithHint(err, fmt.Sprintf("chown -R %s %s, or set process.user to its owner", id.Name, cfg.Data))
}

// StandIn becomes the user that the gateway would be, for a check, and says what keeps it from that. judged is whether
// this process may do now what the gateway may.
func StandIn(cfg *config.Config) (found []config.Finding, judged bool) {
	tell := func(err error, fatal bool) ([]config.Finding, bool) {
		return []config.Finding{{Key: "process.user", What: err.Error(), Hint: cli.HintOf(err), Fatal: fatal}}, false
	}
	id, err := Servant(cfg)
	if err != nil {
		return tell(err, true)
	}
	if id.UID == os.Geteuid() {
		if id.UID == 0 && cfg.Process.User == "" {
			return tell(cli.WithHint(errors.New("started by root the gateway would stay root; this check was made "+
				"as root, and reads what an ordinary user may not"),
				"set process.user, or make the data folder and give it to the user that the gateway is to be"), false)
		}
		return nil, true
	}
	if os.Geteuid() != 0 {
		me, _ := ProcessUser()
		return tell(cli.WithHint(fmt.Errorf("checked as user %s, and the gateway is to be %s: what they may read "+
			"differs", me, id.Name), "`sudo postern config check`"), false)
	}
	owner, err := sandbox.Owner(string(cfg.Data))
	if err == nil && owner.UID != id.UID {
		return tell(notOwned(cfg, id, fmt.Errorf("%s belongs to user %s, not to %s", cfg.Data, owner.Name, id.Name)),
			true)
	}
	if err := id.Become(); err != nil {
		return tell(err, true)
	}
	if f, err := os.Open(cfg.Path()); err != nil {
		return tell(Unreadable(fmt.Errorf("a reload could not read the configuration: %w", err), cfg.Path(), ""), true)
	} else {
		_ = f.Close() // only tried
	}
	return nil, true
}

// Servant is the user to run as.
func Servant(cfg *config.Config) (sandbox.Identity, error) {
	me := sandbox.Identity{UID: os.Geteuid(), Name: "root"}
	if name := cfg.Process.User; name != "" {
		id, err := sandbox.Lookup(name)
		if err != nil {
			err = cli.WithHint(fmt.Errorf("process.user: %w", err), "useradd --system "+name)
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

// Unreadable adds what can be done about a file that the gateway's user may not read; otherwise is the hint for other
// faults.
func Unreadable(err error, file, otherwise string) error {
	if !errors.Is(err, fs.ErrPermission) {
		return cli.WithHint(err, otherwise)
	}
	name, group := ProcessUser()
	return cli.WithHint(fmt.Errorf("%w (as user %s)", err, name),
		fmt.Sprintf("`chgrp %s %s && chmod 640 %s`, and let that group enter its folders (chmod g+x, or a copy in "+
			"a folder of its own); docs/guide/certificates.md has a deploy hook for certbot",
			group, file, file))
}

// ProcessUser names the user and the group of this process.
func ProcessUser() (name, group string) {
	name, group = strconv.Itoa(os.Geteuid()), strconv.Itoa(os.Getegid())
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return name, group
}

// Package sandbox is what the process gives up once it has what it needs: root, capabilities, dumps of its memory, and
// writing or executing anything outside its own folder. A bug that lets a stranger run code in the gateway then finds
// less to do. What the kernel does not offer is an error for the caller to tell; nothing here is needed for mail to be
// safe.
//
// It is for one process at its start: the functions change all of its threads and cannot be undone.
package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// ErrUnsupported says that this kernel, or this build, has no such confinement.
var ErrUnsupported = errors.New("not supported by this kernel or this build")

// Identity is a user to become.
type Identity struct {
	Name     string
	UID, GID int
	Groups   []int // supplementary; the files of certificates are often readable through one
}

// Lookup finds a user by name.
func Lookup(name string) (Identity, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return Identity{}, err
	}
	return identity(u)
}

// Owner finds the user who owns a folder; an owner without a name in the user database is known by numbers.
func Owner(folder string) (Identity, error) {
	info, err := os.Stat(folder)
	if err != nil {
		return Identity{}, err
	}
	uid, gid, ok := ownerOf(info)
	if !ok {
		return Identity{}, ErrUnsupported
	}
	number := strconv.Itoa(uid)
	if u, err := user.LookupId(number); err == nil {
		return identity(u)
	}
	return Identity{Name: number, UID: uid, GID: gid}, nil
}

func identity(u *user.User) (Identity, error) {
	id := Identity{Name: u.Username}
	var err error
	if id.UID, err = strconv.Atoi(u.Uid); err != nil {
		return id, fmt.Errorf("user %s has no numeric id: %w", u.Username, err)
	}
	if id.GID, err = strconv.Atoi(u.Gid); err != nil {
		return id, fmt.Errorf("user %s has no numeric group: %w", u.Username, err)
	}
	groups, err := u.GroupIds()
	if err != nil {
		return id, fmt.Errorf("the groups of user %s cannot be read: %w", u.Username, err)
	}
	for _, g := range groups {
		if n, err := strconv.Atoi(g); err == nil {
			id.Groups = append(id.Groups, n)
		}
	}
	return id, nil
}

// Own makes a folder for the user if it is missing; one that is there must be the user's.
func (id Identity) Own(folder string) error {
	owner, err := Owner(folder)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil { // the user must get through
			return err
		}
		if err := os.Mkdir(folder, 0o700); err != nil {
			return err
		}
		return os.Chown(folder, id.UID, id.GID)
	}
	if err == nil && owner.UID != id.UID {
		return fmt.Errorf("%s belongs to user %s, not to %s", folder, owner.Name, id.Name)
	}
	return err
}

// Exposed is an error where everybody on the machine may do something with a file that is to be secret; its words begin
// with the file. A file that cannot be looked at is for whoever reads it to tell of.
func Exposed(file string) error {
	info, err := os.Stat(file)
	if err != nil || OthersMay(info) == 0 {
		return nil
	}
	return fmt.Errorf("%s can be read or written by everyone on this machine (mode %04o); chmod o= %s",
		file, info.Mode().Perm(), file)
}

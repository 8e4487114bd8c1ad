package sandbox

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// NoDumps keeps the memory of the process, in which keys and mail are, out of core dumps and away from debuggers of the
// same user.
func NoDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("cannot turn core dumps off: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot keep debuggers away: %w", err)
	}
	return nil
}

// allThreads makes a system call on every thread; it fails where cgo may have made threads that Go does not know.
//
//go:uintptrescapes
func allThreads(trap, a1, a2, a3 uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall6(trap, a1, a2, a3, 0, 0, 0); errno == syscall.ENOTSUP {
		return ErrUnsupported
	} else if errno != 0 {
		return errno
	}
	return nil
}

// NoCapabilities gives up every capability, such as the one to open port 25, and the way to get others from a file.
func NoCapabilities() error {
	if err := allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return fmt.Errorf("cannot set no_new_privs: %w", err)
	}
	if err := allThreads(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0); err != nil {
		return fmt.Errorf("cannot clear the ambient capabilities: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	err := allThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none)), 0)
	if err != nil {
		return fmt.Errorf("cannot give capabilities up: %w", err)
	}
	return nil
}

// What is denied everywhere but in its folders, by the version of Landlock that knows it. Reading is not: certificates,
// roots and the resolver's configuration may lie anywhere and be replaced at any time, and the rights of the user bound
// that. Executing is denied in the folder too.
const (
	writing = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG |
		unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	inFolders = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR |
		unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK
	sinceTwo   = unix.LANDLOCK_ACCESS_FS_REFER
	sinceThree = unix.LANDLOCK_ACCESS_FS_TRUNCATE
	sinceFive  = unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// WriteOnly lets the process write in folders alone, and execute nothing. Files that are open stay usable. The network
// is left alone: what Landlock knows of it does not reach multipath TCP, so it would only seem to deny listening. It
// returns the version of the kernel's Landlock; ErrUnsupported says there is none.
func WriteOnly(folders ...string) (version int, err error) {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, fmt.Errorf("%w (landlock: %w)", ErrUnsupported, errno)
	}
	version = int(v)
	rules, beneath := ruleset(version)
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)),
		unsafe.Sizeof(rules.Handled_access_fs), 0) // the one field that every version knows
	if errno != 0 {
		return version, fmt.Errorf("cannot make a ruleset: %w", errno)
	}
	defer unix.Close(int(fd))
	for _, folder := range folders {
		if err := allow(int(fd), folder, beneath); err != nil {
			return version, err
		}
	}
	if err := allThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return version, fmt.Errorf("cannot set no_new_privs: %w", err)
	}
	if err := allThreads(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); err != nil {
		return version, fmt.Errorf("cannot enforce the ruleset: %w", err)
	}
	return version, nil
}

// ruleset is what a version of Landlock can deny, and what of it is allowed beneath a folder.
func ruleset(version int) (rules unix.LandlockRulesetAttr, beneath uint64) {
	rules.Handled_access_fs, beneath = writing|unix.LANDLOCK_ACCESS_FS_EXECUTE, inFolders
	if version >= 2 { // before it, moving files between folders is denied everywhere; the store does not
		rules.Handled_access_fs, beneath = rules.Handled_access_fs|sinceTwo, beneath|sinceTwo
	}
	if version >= 3 {
		rules.Handled_access_fs, beneath = rules.Handled_access_fs|sinceThree, beneath|sinceThree
	}
	if version >= 5 {
		rules.Handled_access_fs |= sinceFive
	}
	return rules, beneath
}

// allow adds rights beneath a folder.
func allow(ruleset int, folder string, access uint64) error {
	dir, err := unix.Open(folder, unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", folder, err)
	}
	defer unix.Close(dir)
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(dir)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return errors.Join(fmt.Errorf("cannot allow writing in %s", folder), errno)
	}
	return nil
}

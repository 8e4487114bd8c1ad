package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// Errors of Listen.
var (
	// ErrInUse: another process answers at the socket.
	ErrInUse = errors.New("another gateway answers at the admin socket")
	// ErrPathTooLong: the system bounds the paths of sockets; see longestPath.
	ErrPathTooLong = errors.New("the path of the admin socket is too long")
)

// Fits reports whether a socket can have this path.
func Fits(path string) bool { return len(making(path)) <= longestPath }

// Listen opens the socket with mode 0600. It is made under another name and renamed, so that it is never there with a
// wider mode. A socket left behind by a process that is gone is replaced.
func Listen(path string) (net.Listener, error) {
	making := making(path)
	if !Fits(path) {
		return nil, fmt.Errorf("%w: %s", ErrPathTooLong, path)
	}
	if err := Asked(path); err != nil {
		return nil, err
	}
	_ = os.Remove(making) // of an earlier process with our number; Listen tells if it is still there
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: making, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot open the admin socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // it would remove the first name
	if err := errors.Join(private(making), os.Rename(making, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open the admin socket: %w", err), l.Close(), os.Remove(making))
	}
	return &socket{l, path}, nil
}

// Asked answers ErrInUse when a process answers at the socket. It changes nothing.
func Asked(path string) error {
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return nil
	}
	_ = nc.Close() // only asked whether somebody answers
	return fmt.Errorf("%w %s", ErrInUse, path)
}

// socket removes its file when it is closed.
type socket struct {
	*net.UnixListener
	path string
}

// Close stops listening and removes the file.
func (s *socket) Close() error {
	err := s.UnixListener.Close()
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	if rm := os.Remove(s.path); rm != nil && !errors.Is(rm, os.ErrNotExist) {
		return errors.Join(err, rm)
	}
	return err
}

type peerKey struct{}

// withPeer keeps who opened a connection.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	uc, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	uid, ok := peerUID(uc)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, uid)
}

// by joins what a client says about who asks with what the kernel knows.
func by(ctx context.Context, claimed string) string {
	uid, ok := ctx.Value(peerKey{}).(uint32)
	if !ok || claimed == "" {
		return claimed
	}
	return claimed + " (uid " + strconv.FormatUint(uint64(uid), 10) + ")"
}

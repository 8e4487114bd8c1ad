package logging

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// ToJournal reports whether w is the stream to the journal that the environment names.
func ToJournal(w io.Writer, stream string) bool {
	f, ok := w.(*os.File)
	if !ok || stream == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

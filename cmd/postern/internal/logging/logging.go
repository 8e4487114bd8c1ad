// Package logging is where a running gateway writes its log, without ever waiting for whoever reads it.
//
// LineWriter takes lines and writes them behind the caller's back; what nobody takes is counted and told. journald.go
// gives each line the priority that the journal understands.
package logging

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"postern/internal/config"
)

// NewLogger writes records as the configuration says. journal says that w leads to the journal, which takes priorities.
func NewLogger(w io.Writer, cfg config.Log, journal bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.Level.Slog()}
	handler := func(w io.Writer) slog.Handler {
		if cfg.Format == "json" {
			return slog.NewJSONHandler(w, options)
		}
		return slog.NewTextHandler(w, options)
	}
	if journal {
		return slog.New(newPrioritised(w, handler))
	}
	return slog.New(handler(w))
}

// Open is where a running gateway writes to. From then on nothing in the process writes to its standard error in
// another way: verbs that fail, the packages log and slog, and warnings of libraries all come through the one
// lineWriter.
//
// Two things about standard error would still stop the process, and are taken away: a reader that has gone (SIGPIPE),
// and a crash of the runtime, which writes its last words past everything and would wait for ever for a reader that
// stands still. So pipes and sockets are set not to wait.
func Open(w io.Writer, cfg config.Log, journal bool) (lines *LineWriter, log *slog.Logger, end func()) {
	signal.Ignore(syscall.SIGPIPE) // known everywhere, sent on Unix
	to, restore := unwaiting(w)
	lines = newLineWriter(to, int(cfg.Memory), func(g gap) []byte { return lostLine(cfg, g, journal) })
	return lines, NewLogger(lines, cfg, journal), func() {
		_ = lines.Close()
		restore()
	}
}

// lostLine is what stands in the log where lines are missing.
func lostLine(cfg config.Log, g gap, journal bool) []byte {
	var b bytes.Buffer
	cfg.Level = "warn"
	NewLogger(&b, cfg, journal).Warn("lost", "lines", g.lines, "from", g.from, "until", g.until,
		"text", fmt.Sprintf("%d lines of this log were lost: nobody took them", g.lines))
	return b.Bytes()
}

// unwaiting makes a pipe or a socket one on which a bare write does not wait, and returns a writer for it that does.
// restore undoes that, for others who may have it too. Anything else, a file or a terminal, stays as it is.
func unwaiting(w io.Writer) (to io.Writer, restore func()) {
	f, ok := w.(*os.File)
	if !ok {
		return w, func() {}
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return w, func() {}
	}
	return nonblocking(f)
}

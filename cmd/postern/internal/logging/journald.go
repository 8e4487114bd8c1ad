package logging

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// journald takes what a service writes to standard error line by line, each with the priority of the unit, but for
// lines that begin with "<4>": that number is theirs (sd-daemon(3)). So warnings are found by `journalctl -p warning`.
// Whether standard error is a stream of the journal is in JOURNAL_STREAM, its device and inode (systemd.exec(5)).

// priority is the prefix of a line of a level.
func priority(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "<3>"
	case level >= slog.LevelWarn:
		return "<4>"
	case level >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}

// prioritised writes each line behind its priority. Handlers of one family share out.
type prioritised struct {
	slog.Handler
	out *prefixed
}

// newPrioritised makes a handler by make, over w.
func newPrioritised(w io.Writer, handler func(io.Writer) slog.Handler) slog.Handler {
	out := &prefixed{to: w}
	return prioritised{handler(out), out}
}

// Handle writes a record.
func (p prioritised) Handle(ctx context.Context, r slog.Record) error {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	p.out.prefix = priority(r.Level)
	return p.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (p prioritised) WithAttrs(attrs []slog.Attr) slog.Handler {
	return prioritised{p.Handler.WithAttrs(attrs), p.out}
}

// WithGroup implements slog.Handler.
func (p prioritised) WithGroup(name string) slog.Handler {
	return prioritised{p.Handler.WithGroup(name), p.out}
}

// prefixed is where the line of one record goes: handlers write each in one call.
type prefixed struct {
	to     io.Writer
	mu     sync.Mutex // held while a record is written
	prefix string
}

// Write writes a line behind its prefix.
func (p *prefixed) Write(line []byte) (int, error) {
	if _, err := p.to.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// Errors returns a writer for what is said to people: each line goes to w behind the priority of an error.
func Errors(w io.Writer) io.Writer { return failing{w} }

type failing struct{ to io.Writer }

// Write writes whole lines.
func (f failing) Write(text []byte) (int, error) {
	var b bytes.Buffer
	for line := range strings.Lines(string(text)) {
		b.WriteString(priority(slog.LevelError) + line)
	}
	if _, err := f.to.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(text), nil
}

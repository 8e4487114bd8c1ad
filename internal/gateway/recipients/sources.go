package recipients

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"postern/internal/event"
	"postern/internal/mail"
	"postern/internal/mail/addresslist"
	"postern/internal/platform/filewatch"
)

// Source says who knows the recipients of a domain: its servers, unless Any or File says otherwise.
type Source struct {
	Domain mail.Domain
	Any    bool   // everybody is taken
	File   string // a list of mailboxes; see addresslist
}

// Sources are those of all domains, with the files read. Only Keeper.Run looks at the files again.
type Sources struct {
	of    map[mail.Domain]*source
	files map[string]*file
}

type source struct {
	any  bool
	file *file
}

// file is a list that is watched.
type file struct {
	name    string
	domains []mail.Domain // that use it
	list    atomic.Pointer[addresslist.List]
	mark    filewatch.Mark
	told    string // of what is wrong with it now
}

// Read reads the files of all sources. The error names the file, the line and the domain.
func Read(sources []Source) (*Sources, error) {
	out := &Sources{of: map[mail.Domain]*source{}, files: map[string]*file{}}
	for _, s := range sources {
		one := &source{any: s.Any}
		if s.File != "" && !s.Any {
			one.file = out.files[s.File]
			if one.file == nil {
				one.file = &file{name: s.File}
				out.files[s.File] = one.file
			}
			one.file.domains = append(one.file.domains, s.Domain)
		}
		out.of[s.Domain] = one
	}
	var errs []error
	for _, s := range sources { // in their order
		if f := out.of[s.Domain].file; f != nil && f.list.Load() == nil && f.told == "" {
			if err := f.read(); err != nil {
				f.told = err.Error()
				errs = append(errs, err)
			}
		}
	}
	return out, errors.Join(errs...)
}

// Use puts other sources in force and forgets what was remembered: somebody asks.
func (k *Keeper) Use(s *Sources) {
	k.sources.Store(s)
	k.memory.forget()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.servers {
		s.recovered()
	}
}

// look reads files that have changed.
func (s *Sources) look(sink event.Sink) {
	for _, f := range s.files {
		err := f.read()
		if err == nil {
			f.told = ""
			continue
		}
		if f.told != err.Error() {
			f.told = err.Error()
			sink.Emit(event.Warned{What: "recipients", Text: err.Error(),
				Hint: "repair the file; the mailboxes read before stay in force"})
		}
	}
}

// read takes the file's content if it has changed and is good.
func (f *file) read() error {
	text, err := content(f.name)
	if err != nil {
		return fmt.Errorf("the list of recipients %s: %w", f.name, plain(err))
	}
	mark := filewatch.Of(text)
	if f.list.Load() != nil && mark == f.mark {
		return nil
	}
	list, err := addresslist.For(text, f.domains...)
	if err != nil {
		return fmt.Errorf("the list of recipients %s: %w", f.name, err)
	}
	f.list.Store(list)
	f.mark = mark
	return nil
}

func content(name string) ([]byte, error) {
	in, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("it is no ordinary file"))
	}
	return io.ReadAll(io.LimitReader(in, addresslist.MaxSize+1)) // Parse refuses one byte too many
}

// plain strips the path, which is said already.
func plain(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

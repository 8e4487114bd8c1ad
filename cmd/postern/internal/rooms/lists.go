package rooms

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"postern/internal/policy/rulelist"
)

// ListsIn reads the files of lists that rules name, relative ones from a folder.
func ListsIn(dir string) func(file string) rulelist.File {
	return func(file string) rulelist.File {
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		content, err := readList(file)
		switch {
		case err == nil:
			return rulelist.File{Content: content}
		case errors.Is(err, fs.ErrNotExist):
			return rulelist.File{Wrong: "there is no file " + file,
				Hint: "write it there, or give the list values instead"}
		case errors.Is(err, fs.ErrPermission):
			return rulelist.File{Wrong: file + ": permission denied",
				Hint: "make the file readable for the user the gateway runs as"}
		}
		return rulelist.File{Wrong: err.Error()}
	}
}

// readList reads a file, up to one octet more than a list may have.
func readList(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no ordinary file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, rulelist.MaxFile+1))
}

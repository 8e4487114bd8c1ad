package rooms

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"postern/internal/policy/rules"
)

// ListsIn reads the files of lists that rules name, relative ones from a folder.
func ListsIn(dir string) func(file string) rules.ListFile {
	return func(file string) rules.ListFile {
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		content, err := readList(file)
		switch {
		case err == nil:
			return rules.ListFile{Content: content}
		case errors.Is(err, fs.ErrNotExist):
			return rules.ListFile{Wrong: "there is no file " + file,
				Hint: "write it there, or give the list values instead"}
		case errors.Is(err, fs.ErrPermission):
			return rules.ListFile{Wrong: file + ": permission denied",
				Hint: "make the file readable for the user the gateway runs as"}
		}
		return rules.ListFile{Wrong: err.Error()}
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
	return io.ReadAll(io.LimitReader(f, rules.MaxListFile+1))
}

package web

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// assets are the files of pages under names that change with their content, so that browsers may keep them for good.
type assets struct {
	names map[string]string // as in the folder -> as served
	files map[string]asset  // by served path
}

type asset struct {
	content []byte
	kind    string
}

func newAssets(dir fs.FS) (assets, error) {
	a := assets{map[string]string{}, map[string]asset{}}
	return a, fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(dir, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		ext := path.Ext(name)
		served := "/static/" + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
		a.names[name] = served
		a.files[served] = asset{content, mime.TypeByExtension(ext)}
		return nil
	})
}

// ServeHTTP serves a file to anybody: they are the same for everyone.
func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := a.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(f.content) // the reader may have gone
}

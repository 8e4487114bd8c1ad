package revoke

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// disk keeps lists in a folder, one file each: a line of JSON that says what it is, then the list. A file that was torn
// by a crash is found out by the list's signature. When the file was changed says when somebody last asked for it.
type disk struct{ dir string }

// suffix of the files of lists. Other files in the folder are left alone.
const suffix = ".crl"

// form is the version of the files. A file of another form is as if it were not there.
const form = 1

type header struct {
	Form    int       `json:"form"`
	URL     string    `json:"url"`
	Issuer  []byte    `json:"issuer"` // the certificate
	This    time.Time `json:"this_update"`
	Next    time.Time `json:"next_update"`
	Fetched time.Time `json:"fetched"`
}

// maxHeader bounds the first line.
const maxHeader = 256 << 10

// open makes the folder and lists what is in it, without reading the lists themselves.
func (d *disk) open() ([]*entry, error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, fmt.Errorf("the folder for CRLs cannot be made: %w", err)
	}
	files, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, fmt.Errorf("the folder for CRLs cannot be read: %w", err)
	}
	var out []*entry
	for _, f := range files {
		key, ok := strings.CutSuffix(f.Name(), suffix)
		if strings.HasSuffix(f.Name(), suffix+".new") {
			_ = os.Remove(filepath.Join(d.dir, f.Name())) // left by a crash
		}
		if !ok {
			continue
		}
		if e := d.describe(key); e != nil {
			out = append(out, e)
		}
	}
	return out, nil
}

// describe reads the header of a file; nil where it is none of ours.
func (d *disk) describe(key string) *entry {
	f, err := os.Open(d.path(key))
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	line, err := bufio.NewReader(io.LimitReader(f, maxHeader)).ReadBytes('\n')
	var h header
	if err != nil || json.Unmarshal(line, &h) != nil || h.Form != form {
		return nil
	}
	issuer, err := x509.ParseCertificate(h.Issuer)
	if err != nil || listKey(h.URL, issuer) != key {
		return nil
	}
	return &entry{key: key, url: h.URL, issuer: issuer, kept: true, this: h.This, next: h.Next, fetched: h.Fetched,
		used: info.ModTime()}
}

func (d *disk) path(key string) string { return filepath.Join(d.dir, key+suffix) }

// read returns the list of an entry from its file, through a buffer.
func (d *disk) read(ctx context.Context, e *entry, in *buffer) (*crl, error) {
	f, err := os.Open(d.path(e.key))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := in.readAll(ctx, f, info.Size(), info.Size(), errNoCRL); err != nil {
		in.drop()
		return nil, err
	}
	_, der, _ := bytes.Cut(in.bytes, []byte("\n"))
	return in.list(e.issuer, der)
}

// write puts a list in the place of the one before.
func (d *disk) write(e *entry, list *crl, der []byte, fetched time.Time) error {
	line, err := json.Marshal(header{Form: form, URL: e.url, Issuer: e.issuer.Raw, This: list.this, Next: list.next,
		Fetched: fetched})
	if err != nil {
		return err
	}
	temporary := d.path(e.key) + ".new"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	if err == nil {
		_, err = f.Write(der)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(temporary, d.path(e.key))
}

// touch notes that the list was asked for.
func (d *disk) touch(key string, now time.Time) {
	_ = os.Chtimes(d.path(key), now, now) // at worst it is forgotten too early, and fetched anew
}

func (d *disk) remove(key string) {
	_ = os.Remove(d.path(key)) // what stays is overwritten or removed the next time
}

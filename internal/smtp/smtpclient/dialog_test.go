package smtpclient_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the results in testdata")

func TestDialogs(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogs: %v", err)
	}
	testCertificate() // outside the bubbles
	for _, file := range files {
		t.Run(sceneName(file), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				s := parseScene(ar)
				got, err := playScene(t, s)
				if err != nil {
					t.Errorf("%sthe peer: %v", s.about, err)
				}
				if *update {
					rewrite(t, file, ar, got)
					return
				}
				if d := cmp.Diff(s.result, got); d != "" {
					t.Errorf("%sresult (-want +got):\n%s", s.about, d)
				}
			})
		})
	}
}

func rewrite(t *testing.T, file string, ar *txtar.Archive, result string) {
	for i := range ar.Files {
		if ar.Files[i].Name == "result" {
			ar.Files = ar.Files[:i]
			break
		}
	}
	ar.Files = append(ar.Files, txtar.File{Name: "result", Data: []byte(result)})
	if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
		t.Fatal(err)
	}
}

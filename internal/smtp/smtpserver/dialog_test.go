package smtpserver_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/lab/testkit/dialog"
	"postern/internal/smtp/smtpserver"
)

// TestDialogs plays testdata/*.txtar. Section "config" has "key value" lines, section "got" is what the Session must
// have been told at the end; without it, nothing.
func TestDialogs(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogs", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, err := dialog.Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { playFile(t, script) })
		})
	}
}

func playFile(t *testing.T, script *dialog.Script) {
	w := newWorld(t, func(cfg *smtpserver.Config) {
		for line := range strings.Lines(script.Sections["config"]) {
			if err := configure(cfg, strings.TrimSpace(line)); err != nil {
				t.Fatal(err)
			}
		}
	})
	p := &dialog.Player{Side: dialog.Client, TLS: w.clientTLS}
	if err := p.Play(script, w.dial("198.51.100.7")); err != nil {
		t.Errorf("%s\n%v", script.Comment, err)
	}
	w.close()
	want := strings.TrimSpace(script.Sections["got"])
	if got := w.rec.lines(); got != want {
		t.Errorf("%s\nthe session was told\n%s\nwant\n%s", script.Comment, got, want)
	}
}

func configure(cfg *smtpserver.Config, line string) error {
	key, value, _ := strings.Cut(line, " ")
	number, err := strconv.Atoi(value)
	l := &cfg.Limits
	switch key {
	case "mode":
		cfg.Mode, err = map[string]smtpserver.Mode{"smtps": smtpserver.SMTPS, "submission": smtpserver.Submission}[value], nil
	case "auth":
		cfg.Auth, err = true, nil
	case "no-tls":
		cfg.TLS, err = nil, nil
	case "require-tls":
		cfg.RequireTLS, err = true, nil
	case "client-certificates":
		cfg.TLS.ClientAuth, err = tls.RequestClientCert, nil
	case "bare":
		l.Bare, err = map[string]smtpserver.BareEnds{"convert": smtpserver.ConvertBare}[value], nil
	case "size":
		l.MessageSize = int64(number)
	case "recipients":
		l.Recipients = number
	case "command-line":
		l.CommandLine = number
	case "content-line":
		l.ContentLine = number
	case "bad":
		l.BadCommands = number
	case "noops":
		l.NoOps = number
	case "session":
		cfg.Timeouts.Session, err = time.ParseDuration(value)
	case "transaction":
		cfg.Timeouts.Transaction, err = time.ParseDuration(value)
	case "rate":
		l.DataRate = number
	case "refusals":
		l.Refusals = number
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return err
}

package peers

import (
	"os/exec"
	"strings"
	"testing"
)

// Swaks runs swaks with the arguments and returns the dialogue it saw and whether all of it succeeded.
func Swaks(t testing.TB, args ...string) (dialogue string, ok bool) {
	t.Helper()
	script := []string{program(t, "usr/bin/swaks"), "--timeout", "20", "--helo", "client.test"}
	cmd := exec.Command(program(t, "usr/bin/perl"), append(script, args...)...)
	cmd.Env = environment(t)
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "TLS not available") {
		unavailable(t, "swaks has no TLS; remove "+Folder+" and run test/prepare.sh peers")
	}
	return string(out), err == nil
}

// HandshakeWorks reports whether the server at an address completes a TLS handshake after STARTTLS.
func HandshakeWorks(t testing.TB, address string) bool {
	t.Helper()
	dialogue, _ := Swaks(t, "--server", address, "--tls", "--quit-after", "EHLO")
	return strings.Contains(dialogue, "TLS started with cipher")
}

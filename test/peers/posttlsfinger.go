package peers

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fingerTime bounds one run of posttls-finger on a busy machine.
const fingerTime = 30 * time.Second

// PosttlsFinger asks Postfix's own tool what it makes of the server at an address ("127.0.0.1:25"): whether Postfix
// would take it for proven to be name by the roots in ca (PEM), and everything the tool said.
func PosttlsFinger(t testing.TB, address, name string, ca []byte) (verified bool, said string) {
	t.Helper()
	finger := program(t, fingerProgram)
	dir := folder(t, "finger")
	write(t, dir, "main.cf", []byte(fingerConf(t, dir)), 0o644)
	host, port, _ := strings.Cut(address, ":")
	ctx, cancel := context.WithTimeout(context.Background(), fingerTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, finger, "-c", "-t", "20", "-l", "secure", "-L", "summary", "-F",
		write(t, dir, "ca.pem", ca, 0o644), "["+host+"]:"+port, name)
	cmd.Env = append(environment(t), "MAIL_CONFIG="+dir)
	out, err := cmd.CombinedOutput()
	said = string(out)
	if err != nil {
		said += err.Error() + "\n"
	}
	return strings.Contains(said, "Verified TLS connection established"), said
}

// fingerConf is the main.cf of posttls-finger, which writes nothing to dir.
func fingerConf(t testing.TB, dir string) string {
	t.Helper()
	return "compatibility_level = 3.6\ninet_protocols = ipv4\nqueue_directory = " + dir + "\ndata_directory = " + dir +
		"\nmyhostname = finger.test\n" +
		"mail_owner = " + postfixUser + "\nsetgid_group = " + postfixGroup + "\n" +
		"shlib_directory = " + filepath.Join(root(t), "usr/lib/postfix") + "\nsmtp_tls_security_level = may\n"
}

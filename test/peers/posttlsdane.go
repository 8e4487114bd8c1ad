package peers

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

const fingerProgram = "usr/sbin/posttls-finger"

// What PosttlsFingerDANE says besides the word before "TLS connection established": Verified, Trusted, Untrusted,
// Anonymous.
const (
	FingerTLSAError    = "TLSA lookup error"                 // whether there are records cannot be found out
	FingerAddressError = "Destination address lookup failed" // neither MX nor address, or an error at one of them
	FingerNoTLS        = "no STARTTLS"                       // ours: the tool says so by saying nothing
)

// PosttlsFingerDANE asks Postfix's own tool what it makes of a destination at the level "dane" or "dane-only", with the
// names of s: "dest.test:2525" asks for the MX, "[mx.dest.test]:2525" does not. It returns the word before its "TLS
// connection established" or one of the Finger texts, "" for something else, and everything the tool said.
//
// Verified is proven, by TLSA records or by a root in ca (PEM, may be nil). Trusted is proven by TLSA records for a
// host that an insecure MX named. Untrusted is TLS with somebody unproven. Where DANE applies, the tool goes on as
// Postfix would break off; where it does not, the tool judges by ca, while Postfix itself takes any certificate at this
// level.
//
// Postfix asks the resolver of /etc/resolv.conf at port 53 and no other. The tool runs in a root with a file of its own
// there, which needs neither mounts nor namespaces.
func PosttlsFingerDANE(t testing.TB, s *SignedDNS, level, destination string, ca []byte) (verdict, said string) {
	t.Helper()
	if s.Nameserver == "" {
		unavailable(t, "no address of 127.53.0.0/16 has its port 53 free")
	}
	s.finger.Do(func() { s.fingerDir = fingerRoot(s.t, s.Nameserver) })
	args := []string{"-t", "20", "-l", level, "-L", "summary,certmatch"}
	if len(ca) > 0 {
		inside, err := os.MkdirTemp(s.fingerDir, "ca-") // one for each run: another may be reading
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "-F", strings.TrimPrefix(write(t, inside, "ca.pem", ca, 0o644), s.fingerDir))
	}
	ctx, cancel := context.WithTimeout(context.Background(), fingerTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, fingerProgram), append(args, destination)...)
	cmd.Env, cmd.Dir = append(environment(t), "MAIL_CONFIG=/"), "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: s.fingerDir}
	out, err := cmd.CombinedOutput()
	said = string(out)
	if err != nil {
		said += err.Error() + "\n"
	}
	return fingerVerdict(said), said
}

// fingerVerdict finds the one word in what the tool said.
func fingerVerdict(said string) string {
	if m := regexp.MustCompile(`(\w+) TLS connection established`).FindStringSubmatch(said); m != nil {
		return m[1]
	}
	for _, text := range []string{FingerTLSAError, FingerAddressError} {
		if strings.Contains(said, text) {
			return text
		}
	}
	if strings.Contains(said, "< 250") && !strings.Contains(said, "STARTTLS") {
		return FingerNoTLS
	}
	return ""
}

// fingerRoot makes a root in which posttls-finger runs and asks a resolver.
func fingerRoot(t testing.TB, nameserver string) string {
	t.Helper()
	dir := folder(t, "fingerroot")
	finger := program(t, fingerProgram)
	ldd := exec.Command("ldd", finger)
	ldd.Env = environment(t)
	out, err := ldd.Output()
	if err != nil {
		t.Fatalf("ldd %s: %v", finger, err)
	}
	libraries := regexp.MustCompile(`/\S+`).FindAllString(string(out), -1)
	for _, path := range append(libraries, finger, "/etc/passwd", "/etc/group") {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, dir, path, content, 0o755)
	}
	write(t, dir, "etc/resolv.conf", []byte("nameserver "+nameserver+"\noptions trust-ad timeout:5\n"), 0o644)
	write(t, dir, "main.cf", []byte(fingerConf(t, "/")), 0o644)
	return dir
}

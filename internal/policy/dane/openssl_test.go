package dane_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"postern/internal/policy/dane"
)

// TestOpenSSLAgrees puts the same chains and records before `openssl s_client`, over loopback. OpenSSL's DANE was
// written with the RFCs, and Postfix and Exim rest on it.
func TestOpenSSLAgrees(t *testing.T) {
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	if testing.Short() {
		t.Skip("starts a process for each situation")
	}
	asked := 0
	for _, s := range situations(t) {
		if s.key == nil || len(s.chain) == 0 || len(s.records) == 0 || s.openssl == unsent {
			continue
		}
		if s.from == usable || s.from == pkixUsages || s.openssl == strength {
			continue // the table alone decides: a process for each takes its time
		}
		asked++
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			text := sClient(t, program, s)
			theirs := strings.Contains(text, "Verification: OK") && strings.Contains(text, "DANE TLSA")
			ours := !strings.Contains(s.want, "cert-") && !strings.Contains(s.want, "dane-mismatch") && s.want != "dane-unusable"
			switch {
			case theirs != ours && s.openssl == "":
				t.Errorf("we say %q, and OpenSSL:\n%s", s.want, text)
			case theirs == ours && s.openssl != "": // another version
				t.Logf("agrees, but is listed as different: %s", s.openssl)
			}
		})
	}
	t.Logf("%d situations", asked)
}

func sClient(t *testing.T, program string, s situation) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	own := tls.Certificate{PrivateKey: s.key}
	for _, c := range s.chain {
		own.Certificate = append(own.Certificate, c.Raw)
	}
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{own}})
		_ = server.SetDeadline(time.Now().Add(time.Minute))
		_ = server.Handshake()
		_ = server.Close()
	}()
	in := s.input()
	args := []string{"s_client", "-brief", "-connect", listener.Addr().String(), "-dane_tlsa_domain", in.Names[0].String(),
		"-dane_ee_no_namechecks", "-attime", fmt.Sprint(in.Now.Unix())}
	for _, r := range s.records {
		args = append(args, "-dane_tlsa_rrdata", dane.Format(r))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "OPENSSL_CONF=/dev/null", "SSL_CERT_FILE=/dev/null", "SSL_CERT_DIR=/nonexistent")
	out, _ := cmd.CombinedOutput() // its exit code says the same less clearly
	return string(out)
}

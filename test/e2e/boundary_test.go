package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/test/peers"
)

// streams is how many random streams both servers get; many in the long form.
func streams() int {
	if os.Getenv("POSTERN_SOAK") != "" {
		return 3000
	}
	return 45
}

// pieces are what the streams are made of: line ends of every kind around dots, and commands that would begin a second
// message if something before them were taken for the end of the first. White space is not among them: before a command
// Postfix skips it, and the gateway refuses the command.
var pieces = []string{
	"\r\n", "\r\n", "\r\n", ".", ".", "a", "text", "\r\n.\r\n", "\r\n..\r\n", "..", "\r\n.", ".\r\n",
	"MAIL FROM:<smuggled@far.test>\r\nRCPT TO:<bob@relay.test>\r\nDATA\r\nSubject: inner\r\n\r\n", "\r\nRSET\r\n",
}

// bare are line ends that are none: with them the two servers differ on purpose.
var bare = []string{"\r", "\n", "\n.\n", "\n.\r\n", "\r.\r", "\r\n.\n", "\r\n.\r", "\r\r\n", "\n.\r"}

// stream is one client's octets after DATA, the subject first, ending so that the session ends whatever was understood.
func stream(rnd *rand.Rand, name string, withBare bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Subject: %s\r\n\r\n", name)
	for range 3 + rnd.IntN(12) {
		if withBare && rnd.IntN(3) == 0 {
			b.WriteString(bare[rnd.IntN(len(bare))])
		}
		b.WriteString(pieces[rnd.IntN(len(pieces))])
	}
	if withBare {
		b.WriteString(bare[rnd.IntN(len(bare))] + "x")
	}
	return b.String() + "\r\n.\r\nRSET\r\nQUIT\r\n"
}

// play sends a stream behind DATA and returns how many messages the server says it took.
func play(t *testing.T, addr, octets string) int {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience)) // shows at the read
	begin := "EHLO far.test\r\nMAIL FROM:<anna@far.test>\r\nRCPT TO:<bob@relay.test>\r\nDATA\r\n"
	heard := &bytes.Buffer{}
	if _, err := io.WriteString(nc, begin); err != nil {
		t.Fatal(err)
	}
	for buf := make([]byte, 4096); !bytes.Contains(heard.Bytes(), []byte("\r\n354 ")); {
		n, err := nc.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, heard)
		}
		heard.Write(buf[:n])
	}
	if _, err := io.WriteString(nc, octets); err != nil {
		t.Fatal(err)
	}
	if _, err := heard.ReadFrom(nc); err != nil {
		t.Fatalf("the session does not end: %v after %q, sent %q", err, heard, octets)
	}
	return bytes.Count(heard.Bytes(), []byte("queued as "))
}

var inner = regexp.MustCompile(`(?m)^Subject: `)

// got lists the contents that arrived at a sink, without what servers add in front, in order of text.
func got(s *peers.Sink) (out []string) {
	for _, m := range s.All() {
		at := inner.FindIndex(m.Data)
		if at == nil {
			at = []int{0}
		}
		out = append(out, m.From+" "+strings.ReplaceAll(string(m.Data[at[0]:]), "\r\n", "\n"))
	}
	slices.Sort(out)
	return out
}

// From the same octets the gateway and Postfix make the same messages, as many and the same text. The one
// deviation is on purpose: where a CR or LF stands alone the gateway refuses the message (554 5.6.0), and Postfix of
// this age takes an LF for a line end; then the gateway must not make more messages than Postfix does, and none that
// was refused may arrive.
func TestMessageBoundariesAreThoseOfPostfix(t *testing.T) {
	ours, theirs := peers.NewSink(t), peers.NewSink(t)
	const postfixIP, gatewayIP = "127.0.0.61", "127.0.0.62"
	const port = 2561
	postfix := peers.Server{IP: postfixIP, Port: port, Hostname: "postfix.test", Domains: []string{"relay.test"}, Sink: theirs.Addr,
		Extra: "smtpd_hard_error_limit = 1000\nsmtpd_error_sleep_time = 0\nlocal_header_rewrite_clients =\nsmtpd_client_connection_count_limit = 0\nsmtpd_forbidden_commands =\n"}
	peers.Postfix(t, postfix)
	address := fmt.Sprintf("%s:%d", gatewayIP, port)
	data := t.TempDir()
	startGateway(t, address, fmt.Sprintf(`
hostname = "gw.test"
data = %q
[[listen]]
address = %q
[relay]
networks = ["127.0.0.0/8"]
[dns]
servers = ["127.0.0.1:9"]
[[route]]
match = ["*"]
to = [%q]
[admin]
listen = ""
[limits]
bad_commands = 1000
noop_commands = 1000
`, data, address, ours.Addr), "")
	const seed = 2561
	rnd := rand.New(rand.NewPCG(seed, 1))
	totalOurs, totalTheirs, refused := 0, 0, 0
	for i := range streams() {
		withBare := i%3 == 2
		s := stream(rnd, fmt.Sprintf("s%d", i), withBare)
		us, them := play(t, address, s), play(t, fmt.Sprintf("%s:%d", postfixIP, port), s)
		totalOurs, totalTheirs = totalOurs+us, totalTheirs+them
		switch {
		case withBare && us > them:
			t.Errorf("seed %d, stream %d %q: %d messages of ours, %d of Postfix", seed, i, s, us, them)
		case withBare:
			refused += them - us
		case us != them || us == 0:
			t.Errorf("seed %d, stream %d %q: %d messages of ours, %d of Postfix", seed, i, s, us, them)
		}
	}
	t.Logf("%d streams: %d messages of ours, %d of Postfix, %d with bare line ends were refused", streams(), totalOurs, totalTheirs, refused)
	if refused == 0 {
		t.Error("nothing was refused: the streams are tame")
	}
	for end := time.Now().Add(2 * patience); len(ours.All()) < totalOurs || len(theirs.All()) < totalTheirs; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d messages of ours arrived, %d of %d of Postfix", len(ours.All()), totalOurs, len(theirs.All()), totalTheirs)
		}
	}
	time.Sleep(500 * time.Millisecond) // for one too many
	a, b := got(ours), got(theirs)
	if len(a) != totalOurs {
		t.Errorf("%d messages arrived, %d were taken", len(a), totalOurs)
	}
	for _, m := range a { // each of ours is one of Postfix's
		i, found := slices.BinarySearch(b, m)
		if !found {
			t.Errorf("only the gateway makes this message: %q", m)
			continue
		}
		b = slices.Delete(b, i, i+1)
	}
	if len(b) != totalTheirs-totalOurs {
		t.Errorf("%d messages are Postfix's alone, want %d", len(b), totalTheirs-totalOurs)
	}
}

package smtpclient_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"postern/internal/lab/testkit/memnet"
	"postern/internal/mail"
	"postern/internal/smtp/smtpclient"
)

// A scene is one txtar file: what is to be sent, what the peer (S) says and expects of us (C), and what comes out.
type scene struct {
	about, dialog, result string
	config                map[string]string
	message               string
}

func parseScene(ar *txtar.Archive) scene {
	s := scene{about: string(ar.Comment), config: map[string]string{}}
	for _, f := range ar.Files {
		switch text := string(f.Data); f.Name {
		case "config":
			for line := range strings.Lines(text) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				s.config[key] = value
			}
		case "message":
			s.message = strings.ReplaceAll(text, "\n", "\r\n")
		case "dialog":
			s.dialog = text
		case "result":
			s.result = text
		}
	}
	if _, bare := s.config["bare-lf"]; bare {
		s.message = "a\n.\r\n"
	}
	if n, err := strconv.Atoi(s.config["size"]); err == nil {
		line := strings.Repeat("x", 98) + "\r\n"
		s.message = strings.Repeat(line, n/100+1)[:n-2] + "\r\n"
	}
	return s
}

// transaction makes what the config describes.
func (s scene) transaction() *smtpclient.Transaction {
	t := &smtpclient.Transaction{Body: strings.NewReader(s.message)}
	from := s.config["from"]
	switch from {
	case "<>":
	case "":
		t.Envelope.From = mail.MustAddress("s@here.test")
	default:
		t.Envelope.From = mail.MustAddress(from)
	}
	opts := " " + s.config["options"] + " "
	t.EightBit = strings.Contains(opts, " 8bit ")
	t.HeaderUTF8 = strings.Contains(opts, " headerutf8 ")
	t.Envelope.RequireTLS = strings.Contains(opts, " requiretls ")
	t.Envelope.UTF8 = strings.Contains(opts, " utf8 ")
	t.Envelope.Ret = mail.Return(s.config["ret"])
	t.Envelope.EnvID = s.config["envid"]
	for _, to := range strings.Fields(s.config["to"]) {
		r := mail.Recipient{ORCPT: s.config["orcpt"]}
		if strings.Contains(opts, " notify ") {
			r.Notify = mail.NotifySuccess | mail.NotifyDelay
		}
		r.Address = mail.MustAddress(to)
		t.Recipients = append(t.Recipients, r)
	}
	return t
}

// act lets the engine do its whole part and returns what came out, as text.
func (s scene) act(ctx context.Context, nc net.Conn) string {
	var out strings.Builder
	start := time.Now()
	if d, err := time.ParseDuration(s.config["budget"]); err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	if d, err := time.ParseDuration(s.config["cancel"]); err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		time.AfterFunc(d, cancel)
	}
	c := smtpclient.New(nc, smtpclient.Config{Hello: "gw.test", KeepSigned: s.config["keep"] == "signed"})
	s.converse(ctx, c, &out)
	if d := time.Since(start); d > 0 {
		fmt.Fprintf(&out, "took: %v\n", d)
	}
	fmt.Fprintf(&out, "healthy: %v\n", c.Healthy())
	c.Quit(ctx)
	return out.String()
}

func (s scene) converse(ctx context.Context, c *smtpclient.Conn, out *strings.Builder) {
	_, err := c.Greet(ctx)
	if err == nil {
		err = c.Hello(ctx)
	}
	if _, wanted := s.config["starttls"]; wanted && err == nil {
		tc := &tls.Config{InsecureSkipVerify: true, ServerName: "mx.test"}
		if strings.Contains(s.config["starttls"], "certificate") {
			tc.Certificates = []tls.Certificate{testCertificate()}
		}
		if _, err = c.StartTLS(ctx, tc); err == nil {
			if d, err := time.ParseDuration(s.config["pause"]); err == nil {
				time.Sleep(d)
			}
			err = c.Hello(ctx)
		}
	}
	for _, pair := range strings.Fields(s.config["ask"]) {
		from, to, _ := strings.Cut(pair, ">")
		var a smtpclient.Asked
		if err == nil {
			sender := mail.Address{}
			if from != "" {
				sender = mail.MustAddress(from)
			}
			a, err = c.Ask(ctx, sender, mail.MustAddress(to))
			fmt.Fprintf(out, "%s: %s %v\n", to, a.Command, a.Reply)
		}
	}
	holds, bound := time.ParseDuration(s.config["holds"])
	began := time.Now()
	for i := 0; err == nil && s.config["ask"] == "" && i < max(1, len(s.config["repeat"])); i++ {
		var res *smtpclient.Result
		t := s.transaction()
		if bound == nil {
			t.Still = func(bool) bool { return time.Since(began) < holds }
		}
		res, err = c.Send(ctx, t)
		describe(out, t, res)
	}
	describeError(out, err)
}

func describe(out *strings.Builder, t *smtpclient.Transaction, res *smtpclient.Result) {
	for i, r := range res.Recipients {
		fmt.Fprintf(out, "%v: %v", t.Recipients[i].Address, r.Outcome)
		if r.Command != "" {
			fmt.Fprintf(out, " by %s", r.Command)
		}
		if r.Reply.Code != 0 {
			fmt.Fprintf(out, ": %v", r.Reply)
		}
		if r.Local {
			out.WriteString(" (ours)")
		}
		out.WriteString("\n")
	}
	if res.Final != nil {
		fmt.Fprintf(out, "final: %v\n", *res.Final)
	}
	if res.DSN {
		out.WriteString("dsn: passed on\n")
	}
	if res.Converted {
		out.WriteString("converted\n")
	}
	if res.Plainer != 0 {
		fmt.Fprintf(out, "plainer: %v\n", res.Plainer)
	}
	if res.Elsewhere {
		out.WriteString("elsewhere\n")
	}
}

func describeError(out *strings.Builder, err error) {
	var e *smtpclient.Error
	if !errors.As(err, &e) {
		if err != nil {
			fmt.Fprintf(out, "error of another type: %v\n", err)
		}
		return
	}
	fmt.Fprintf(out, "error: %s, %v, reason %q", e.Phase, e.Kind, e.Reason)
	if e.Reply != nil {
		fmt.Fprintf(out, ", reply %v", *e.Reply)
	}
	if e.Alert != "" {
		fmt.Fprintf(out, ", alert %s", e.Alert)
	}
	if e.Remote != "" {
		fmt.Fprintf(out, ", remote %q", e.Remote)
	}
	if e.ClientCertificate {
		out.WriteString(", client certificate")
	}
	if e.Sent {
		out.WriteString(", SENT")
	}
	out.WriteString("\n")
}

// peer plays the S side of a dialog. It returns the first move that did not go as written.
type peer struct {
	nc  net.Conn
	end *memnet.Conn
	r   *bufio.Reader
	out strings.Builder
}

func (p *peer) play(dialog string) error {
	defer p.nc.Close()
	p.r = bufio.NewReader(p.nc)
	for move := range strings.Lines(dialog) {
		if move = strings.TrimSuffix(move, "\n"); move == "" {
			continue
		}
		if text, ok := strings.CutPrefix(move, "S: "); ok {
			p.out.WriteString(text + "\r\n")
			continue
		}
		if raw, ok := strings.CutPrefix(move, "(raw "); ok {
			text, err := strconv.Unquote(strings.TrimSuffix(raw, ")"))
			if err != nil {
				return fmt.Errorf("%s: %w", move, err)
			}
			p.out.WriteString(text)
			continue
		}
		if err := p.say(); err != nil {
			return fmt.Errorf("before %q: %w", move, err)
		}
		if err := p.move(move); err != nil {
			return fmt.Errorf("%q: %w", move, err)
		}
	}
	return p.say()
}

func (p *peer) say() error {
	if p.out.Len() == 0 {
		return nil
	}
	_, err := p.nc.Write([]byte(p.out.String()))
	p.out.Reset()
	return err
}

func (p *peer) move(move string) error {
	if want, ok := strings.CutPrefix(move, "C: "); ok {
		return p.expect(want)
	}
	verb, arg, _ := strings.Cut(strings.Trim(move, "()"), " ")
	switch verb {
	case "wait":
		d, err := time.ParseDuration(arg)
		time.Sleep(d)
		return err
	case "eof":
		if b, err := p.r.ReadByte(); err == nil {
			return fmt.Errorf("got %q instead of the end", b)
		}
		return nil
	case "content": // skip lines up to and with the final dot
		for {
			line, err := p.r.ReadString('\n')
			if err != nil || line == ".\r\n" {
				return err
			}
		}
	case "octets":
		n, _ := strconv.Atoi(arg)
		_, err := p.r.Discard(n)
		return err
	case "cut":
		return p.end.Close()
	case "reset":
		p.end.Reset()
		return nil
	case "tls":
		return p.tls(arg)
	}
	return errors.New("no such move")
}

func (p *peer) expect(want string) error {
	line, err := p.r.ReadString('\n')
	if err != nil {
		return fmt.Errorf("got %q, %w", line, err)
	}
	got, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return fmt.Errorf("got %q with a bare LF", line)
	}
	if prefix, open := strings.CutSuffix(want, "*"); open && strings.HasPrefix(got, prefix) {
		return nil
	}
	if got != want {
		return fmt.Errorf("got %q", got)
	}
	return nil
}

// tls does the peer's side of the handshake; arg limits the version or asks for client certificates.
func (p *peer) tls(arg string) error {
	cfg := &tls.Config{Certificates: []tls.Certificate{testCertificate()}, SessionTicketsDisabled: true}
	for _, word := range strings.Fields(arg) {
		switch word {
		case "1.0":
			cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
		case "1.2":
			cfg.MaxVersion = tls.VersionTLS12
		case "rsa-only":
			cfg.MaxVersion, cfg.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}
		case "known-clients":
			cfg.ClientAuth, cfg.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		case "fails":
			defer p.nc.Close()
		}
	}
	conn := tls.Server(p.nc, cfg)
	err := conn.Handshake()
	if strings.Contains(arg, "fails") {
		if err == nil {
			return errors.New("the handshake went well")
		}
		return nil
	}
	p.nc, p.r = conn, bufio.NewReader(conn)
	return err
}

var testCertificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "mx.test"},
		DNSNames: []string{"mx.test"}, NotBefore: time.Unix(9e8, 0), NotAfter: time.Unix(9e9, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// playScene runs both sides and returns the outcome and what the peer found wrong.
func playScene(t *testing.T, s scene) (string, error) {
	server, client := memnet.Pipe()
	done := make(chan error, 1)
	p := &peer{nc: server, end: server}
	go func() { done <- p.play(s.dialog) }()
	got := s.act(t.Context(), client)
	return got, <-done
}

func sceneName(file string) string { return strings.TrimSuffix(path.Base(file), ".txtar") }

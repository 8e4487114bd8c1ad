// Command bench puts mail gateways through the same work in turn and compares them: Postern, Debian's Postfix, Exim and
// OpenSMTPD, and the null relay, which is the practical limit. See README.md beside this file for how to use it and for
// what is measured.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"postern/bench/nullrelay"
	"postern/bench/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := command(ctx, os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// command runs one command; without a name it is run.
func command(ctx context.Context, args []string) error {
	name := "run"
	if len(args) > 0 && args[0][0] != '-' {
		name, args = args[0], args[1:]
	}
	switch name {
	case "run":
		return runCommand(ctx, args)
	case "short", "full":
		return suiteCommand(ctx, name, args)
	case "idle", "large", "waiting", "history":
		return partCommand(ctx, name, args)
	case "published":
		return publishedCommand(ctx, args)
	case "page":
		return pageCommand(args)
	case "null":
		return nullCommand(ctx, args)
	case "keep":
		rig.Keep(os.Stdin, os.Stdout)
		return nil
	}
	return fmt.Errorf("there is no command %q; see bench/README.md", name)
}

// nullCommand runs the null relay until it is ended.
func nullCommand(ctx context.Context, args []string) error {
	var c nullrelay.Config
	f := newFlags("null")
	listen := f.String("listen", "127.0.0.1:2525", "where to take mail")
	f.StringVar(&c.Next, "next", "", "where everything goes, host:port")
	f.StringVar(&c.Log, "log", "", "path of the log")
	f.IntVar(&c.Connections, "connections", 0, "connections to the next server")
	hops := f.String("hops", "", "file of lines \"domain host:port\": next servers of some domains")
	cert, key := f.String("cert", "", "certificate, PEM; without it there is no TLS on either hop"),
		f.String("key", "", "its key")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *hops != "" {
		text, err := os.ReadFile(*hops)
		if err != nil {
			return err
		}
		c.Hops = map[string]string{}
		for line := range strings.Lines(string(text)) {
			domain, address, _ := strings.Cut(strings.TrimSpace(line), " ")
			c.Hops[domain] = address
		}
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			return err
		}
		c.Server, c.Client = serverTLS(pair), clientTLS()
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	if err := nullrelay.Serve(ctx, l, c); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// newFlags makes the flags of a command.
func newFlags(name string) *flag.FlagSet {
	f := flag.NewFlagSet("bench "+name, flag.ContinueOnError)
	f.SetOutput(os.Stderr)
	return f
}

// serverTLS and clientTLS are what source, sink and null relay speak: TLS 1.3 with X25519 for everybody, because not
// every server under test knows the hybrid key exchange of later years. No session is resumed towards the server under
// test, and no certificate is judged.
func serverTLS(pair tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{pair}, CurvePreferences: []tls.CurveID{tls.X25519},
		MinVersion: tls.VersionTLS12}
}

func clientTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519},
		MinVersion: tls.VersionTLS12}
}

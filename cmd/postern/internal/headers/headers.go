// Package headers has the verb that shows which hops of a message were encrypted, from its Received lines.
package headers

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"postern/cmd/postern/internal/cli"
	"postern/internal/mail/received"
)

// Cmd reads the Received lines of a message and says which hops were encrypted, and what of it is proven.
type Cmd struct {
	File    string   `arg:"" optional:"" help:"A message or its header. - or nothing: standard input; a paste ends with Ctrl-D."`
	Trust   []string `placeholder:"NAME" help:"A host, domain, address or network that is trusted to write honest lines; * for everybody. May be repeated. The newest line is always trusted."`
	Require string   `placeholder:"LEVEL" help:"Exit with 1 unless every hop that trusted lines record was this: encrypted."`
	JSON    bool     `help:"Print newline-delimited JSON objects, one for each hop, the oldest first."`
}

// Run prints the way of the message.
func (c *Cmd) Run(a *cli.App) error {
	if c.Require != "" && c.Require != "encrypted" {
		return cli.Usage(fmt.Errorf("--require %s: there is no such level", c.Require),
			"`--require encrypted` is what Received lines can answer")
	}
	trust, err := received.ParseTrust(c.Trust)
	if err != nil {
		return cli.Usage(fmt.Errorf("--trust: %w", err),
			"`--trust mx.example.com --trust 192.0.2.0/24` names a host and a network")
	}
	found, err := findReceived(a, c.File)
	if err != nil {
		return err
	}
	report := received.Trace(found.Received, trust)
	if c.JSON {
		err = hopObjects(a, &report)
	} else {
		showHops(a, &report, len(c.Trust) > 0)
	}
	if err != nil || c.Require == "" {
		return err
	}
	if hops, ok := report.Short(); !ok {
		return cli.Short(shortText(hops))
	}
	return nil
}

// shortText says why --require is not met.
func shortText(hops []int) string {
	if len(hops) == 0 {
		return "--require encrypted: no trusted line records a hop over a network"
	}
	return "--require encrypted: not so at " + numbers(hops)
}

// findReceived reads the text and finds the lines in it.
func findReceived(a *cli.App, file string) (received.Found, error) {
	text, err := readHeader(a, file)
	if err != nil {
		return received.Found{}, err
	}
	found := received.Extract(text)
	if len(found.Received) == 0 && found.Others == 0 {
		return found, cli.WithHint(errors.New("this is no header of a message"),
			"save the message with its header (in a mail program often \"show original\") and give `postern headers "+
				"FILE` that file")
	}
	if found.Truncated {
		fmt.Fprintf(a.Stderr, "warning: the header is larger than %s; the rest was not read\n",
			cli.BytesText(received.MaxText))
	}
	return found, nil
}

// readHeader reads the beginning of a file or of standard input; the rest of a large message does not matter.
func readHeader(a *cli.App, file string) ([]byte, error) {
	in := a.Stdin
	if file != "" && file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, cli.WithHint(fmt.Errorf("cannot open the message: %w", err),
				"give a file, or - for standard input")
		}
		defer f.Close()
		in = f
	} else if cli.OnTerminal(a.Stdin) {
		fmt.Fprintln(a.Stderr, "Paste the header of a message, then press Ctrl-D on a line of its own.")
	}
	text, err := io.ReadAll(io.LimitReader(in, received.MaxText+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the message: %w", err)
	}
	return text, nil
}

// hopObject is one hop in --json. The names are part of the outside surface; null is "not said".
type hopObject struct {
	Hop          int        `json:"hop"`       // 1 is the oldest
	From         string     `json:"from"`      // what the peer called itself
	FromName     string     `json:"from_name"` // what its address is called, as the writer looked it up
	FromIP       string     `json:"from_ip"`
	By           string     `json:"by"`
	With         string     `json:"with"`
	ID           string     `json:"id"`
	For          string     `json:"for"`
	Date         *time.Time `json:"date"`
	DelaySeconds *int64     `json:"delay_seconds"` // since the line before; negative where clocks disagree
	TLS          string     `json:"tls"`           // yes, no, claimed, unknown
	TLSVersion   string     `json:"tls_version"`
	Cipher       string     `json:"cipher"`
	Bits         *int       `json:"bits"` // of the key in use
	BitsTotal    *int       `json:"bits_total"`
	Group        string     `json:"group"`
	Signature    string     `json:"signature"`
	ClientCert   string     `json:"client_certificate"`
	Form         string     `json:"form"`
	Trusted      bool       `json:"trusted"`
	Inside       bool       `json:"inside"` // no way over a network
	Line         string     `json:"line"`
	LineNumber   int        `json:"line_number"`
	Notes        []string   `json:"notes"`
}

func hopObjects(a *cli.App, r *received.Report) error {
	for i := range r.Hops {
		if err := a.Object(newHopObject(&r.Hops[i])); err != nil {
			return err
		}
	}
	return nil
}

func newHopObject(h *received.Hop) hopObject {
	o := hopObject{Hop: h.Number, From: h.Helo, FromName: h.Name, By: h.By, With: h.With, ID: h.ID, For: h.For,
		TLS: string(h.State), TLSVersion: h.Version, Cipher: h.Cipher, Bits: said(h.Bits), BitsTotal: said(h.BitsTotal),
		Group: h.Group, Signature: h.Signature, ClientCert: string(h.Client), Form: string(h.Form), Trusted: h.Trusted,
		Inside: h.Inside, Line: h.Field.Value, LineNumber: h.Field.Line, Notes: append([]string{}, h.Notes...)}
	if h.IP.IsValid() {
		o.FromIP = h.IP.String()
	}
	if !h.Date.IsZero() {
		date := h.Date.UTC()
		o.Date = &date
	}
	if h.HasDelay {
		seconds := int64(h.Delay / time.Second)
		o.DelaySeconds = &seconds
	}
	return o
}

// said is nil for a number that the line does not give.
func said(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

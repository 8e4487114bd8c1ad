package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"postern/internal/mail"
	"postern/internal/platform/tomlfile"
	"postern/internal/policy/sts"
)

// Places are where the configuration is looked for when nobody names it, in this order.
var places = [...]string{"postern.toml", "/etc/postern/postern.toml"}

// Find returns the path of the configuration file: the one named, else $POSTERN_CONFIG (given as env), else
// ./postern.toml, else /etc/postern/postern.toml. A file that was named is not looked for, so that it is missed aloud.
func Find(named, env string) (string, error) {
	if named != "" {
		return named, nil
	}
	if env != "" {
		return env, nil
	}
	for _, p := range places {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("no configuration file: looked for ./%s", strings.Join(places[:], " and "))
}

// Load reads and examines the file. A problem in the file is a *Problems; any other error is about reading it. The
// files it names (certificates, roots) are not opened; they are for whoever uses them.
func Load(path string) (*Config, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(abs)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, tomlfile.MaxSize+1)) // Parse refuses one byte too many
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	c, err := Parse(path, filepath.Dir(abs), host, text)
	if err != nil {
		return nil, err
	}
	c.path = abs
	return c, nil
}

// Parse reads a configuration. Problems are reported under the name file; relative paths become relative to dir;
// machine is the machine's name, used where the text has no hostname.
func Parse(file, dir, machine string, text []byte) (*Config, error) {
	c := Default()
	d, err := decode(file, tomlfile.Unmarked(text), c)
	if err != nil {
		return nil, err
	}
	c.complete(d, dir, machine)
	c.check(d)
	if err := d.err(); err != nil {
		return nil, err
	}
	c.lines = d.lines()
	return c, nil
}

// complete fills in what was left out and depends on something else.
func (c *Config) complete(d *decoder, dir, machine string) {
	for i := range c.Domain {
		if c.Domain[i].Recipients == "" {
			c.Domain[i].Recipients = RecipientsAsk
		}
	}
	absolute(reflect.ValueOf(c).Elem(), dir)
	c.completeCluster(machine)
	if c.Hostname.IsZero() {
		name, err := mail.ParseDomain(machine)
		if _, literal := name.Literal(); err != nil || literal {
			name = mail.MustDomain("localhost")
			d.fail("hostname", fmt.Sprintf("the machine's own name %q is no domain name", machine),
				`write hostname = "mail.example.com", the name other servers know this one by`)
		}
		c.Hostname = name
	}
	if c.Postmaster.IsNull() {
		c.Postmaster = mail.Address{Local: "postmaster", Domain: c.Hostname}
	}
	if t := &c.TLSRPT; t.Sends() {
		if t.From.IsNull() {
			t.From = c.Postmaster
		}
		if t.Contact == "" {
			t.Contact = t.From.String()
		}
	}
	if c.Delivery.Helo.IsZero() {
		c.Delivery.Helo = c.Hostname
	}
	for i := range c.Domain {
		c.Domain[i].STS.complete(c.Hostname)
	}
	if !slices.ContainsFunc(c.Listen, func(l Listen) bool { return l.Mode.TakesMail() }) {
		c.Listen = append(c.Listen, Listen{})
	}
	for i := range c.Listen {
		c.Listen[i].complete()
	}
	c.completeACME()
}

// complete fills in what a listener's mode implies.
func (l *Listen) complete() {
	if l.Mode == "" {
		l.Mode = ModeSMTP
	}
	if l.Address == "" {
		l.Address = map[Mode]string{ModeSMTP: ":25", ModeSMTPS: ":465", ModeSubmission: ":587", ModeWeb: ":443",
			ModeACME: ":80"}[l.Mode]
	}
	if l.Name == "" {
		l.Name = string(l.Mode) + l.Address
	}
	if l.Mode == ModeSubmission {
		l.RequireTLS, l.Auth = true, true
	}
}

// defaultMaxAge is how long others keep a policy of ours unless it says so itself: long enough to count (RFC 8461 §3.2
// speaks of weeks), short enough to repent.
const defaultMaxAge = 7 * 24 * time.Hour

// complete fills in what a policy of a domain leaves out.
func (s *STS) complete(hostname mail.Domain) {
	if !s.Published() {
		return
	}
	if len(s.MX) == 0 && s.Mode != sts.None {
		s.MX = []string{hostname.String()}
	}
	if s.MaxAge.Duration == 0 {
		s.MaxAge.Duration = defaultMaxAge
	}
}

// absolute makes every Path, and the Roots and Recipients that are a file, relative to dir.
func absolute(v reflect.Value, dir string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				absolute(v.Field(i), dir)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			absolute(v.Index(i), dir)
		}
	case reflect.String:
		s := v.String()
		isFile := v.Type() == reflect.TypeFor[Path]() && s != "" ||
			v.Type() == reflect.TypeFor[Roots]() && s != string(RootsSystem) && s != string(RootsBundled) ||
			v.Type() == reflect.TypeFor[Recipients]() && Recipients(s).File() != ""
		if isFile && !filepath.IsAbs(s) {
			v.SetString(filepath.Join(dir, s))
		}
	}
}

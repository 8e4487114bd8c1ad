package sockets

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"postern/internal/config"
)

// socketUnitName is the unit by which systemd opens ports for the gateway.
const socketUnitName = "postern.socket"

// Unit is what systemd would open and hand over.
type Unit struct {
	enabled bool
	offered []offer
}

// UnitFolders are where systemd looks for units, those that count more first; path is $SYSTEMD_UNIT_PATH.
func UnitFolders(path string) []string {
	if path != "" {
		return filepath.SplitList(path)
	}
	return []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
		"/usr/lib/systemd/system", "/lib/systemd/system"}
}

// ReadUnit reads the unit with its drop-ins, as systemd.unit(5) says. One that is not enabled opens nothing.
func ReadUnit(folders []string) (u Unit) {
	var texts []string
	for _, dir := range folders {
		if _, err := os.Lstat(filepath.Join(dir, "sockets.target.wants", socketUnitName)); err == nil {
			u.enabled = true
		}
		if text, err := os.ReadFile(filepath.Join(dir, socketUnitName)); err == nil && len(texts) == 0 {
			texts = append(texts, string(text))
		}
	}
	if !u.enabled || len(texts) == 0 {
		return Unit{}
	}
	dropIns := map[string]string{} // by name; the first folder counts
	for _, dir := range folders {
		list, _ := filepath.Glob(filepath.Join(dir, socketUnitName+".d", "*.conf"))
		for _, file := range list {
			if name := filepath.Base(file); dropIns[name] == "" {
				dropIns[name] = file
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(dropIns)) {
		if text, err := os.ReadFile(dropIns[name]); err == nil {
			texts = append(texts, string(text))
		}
	}
	u.offered = streams(texts)
	return u
}

// streams reads ListenStream= of units; an empty one takes back those before it.
func streams(texts []string) (out []offer) {
	name := socketUnitName
	var list []string
	for _, text := range texts {
		for line := range strings.Lines(text) {
			key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			key, value = strings.TrimSpace(key), strings.TrimSpace(value)
			switch {
			case !ok || strings.HasPrefix(key, "#") || strings.HasPrefix(key, ";"):
			case key == "ListenStream" && value == "":
				list = nil
			case key == "ListenStream":
				list = append(list, value)
			case key == "FileDescriptorName" && value != "":
				name = value
			}
		}
	}
	for _, value := range list {
		if port, err := strconv.ParseUint(value, 10, 16); err == nil {
			out = append(out, offer{netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port)), name})
		} else if at, err := netip.ParseAddrPort(value); err == nil {
			out = append(out, offer{plain(at), name})
		}
	}
	return out
}

// Taken says which listeners get a socket, by the judge that serve asks.
func (u Unit) Taken(cfg *config.Config) map[int]bool {
	out := map[int]bool{}
	for _, to := range assign(places(cfg), u.offered) {
		out[to] = true
	}
	return out
}

// privileged are the ports that need a right to be opened.
const privileged = 1024

// Findings compares what systemd opens with what the configuration names.
func (u Unit) Findings(cfg *config.Config) (out []config.Finding) {
	if !u.enabled {
		return nil
	}
	all, taken := places(cfg), u.Taken(cfg)
	for i, to := range assign(all, u.offered) {
		if f := u.offered[i].blocking(all, taken); to < 0 && f != nil {
			out = append(out, *f)
		} else if to < 0 {
			out = append(out, config.Finding{Key: "listen",
				What: fmt.Sprintf("%s opens %s, which no listener names: it is closed at once", socketUnitName,
					u.offered[i].at),
				Hint: "name its address in a [[listen]], or take it out with `systemctl edit " + socketUnitName + "`"})
		}
	}
	for i, lc := range cfg.Listen {
		if at := PlaceOf(lc.Address).At; !taken[i] && at.IsValid() && at.Port() > 0 && at.Port() < privileged {
			out = append(out, config.Finding{Key: fmt.Sprintf("listen[%d].address", i),
				What: fmt.Sprintf("%s does not open %s: the gateway opens it by itself, which needs "+
					"CAP_NET_BIND_SERVICE in postern.service", socketUnitName, lc.Address),
				Hint: fmt.Sprintf("`systemctl edit %s` and write below [Socket]: ListenStream=%s", socketUnitName,
					strings.TrimPrefix(lc.Address, ":"))})
		}
	}
	return out
}

// blocking says which address of the configuration a socket keeps from being opened that nobody takes, nil for none.
func (o offer) blocking(all []place, taken map[int]bool) *config.Finding {
	for i, p := range all {
		if taken[i] || !p.meets(o.place()) {
			continue
		}
		f := &config.Finding{Key: "admin.listen", Fatal: true,
			What: fmt.Sprintf("%s opens %s, which no listener names, and so the gateway cannot open %s", socketUnitName,
				o.at, p.address),
			Hint: unitWithout}
		if p.taker {
			f.Key, f.Hint = fmt.Sprintf("listen[%d].address", i), unitHint(p.address)
		}
		return f
	}
	return nil
}

// unitWithout is how the socket unit leaves an address alone that is no listener's of mail.
const unitWithout = "take its ListenStream= out of the unit with `systemctl edit " + socketUnitName +
	"`: no socket is taken over for [admin]"

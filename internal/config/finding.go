package config

import (
	"slices"
	"strings"
)

// Finding is something about a configuration that can be read and is worth saying all the same.
type Finding struct {
	// Key is what it is about: "tls.certificates[0]".
	Key string
	// What is wrong, and what to do about it; Hint may be "".
	What, Hint string
	// Fatal: the gateway would not start, would not do what the key asks, or would be a danger. Otherwise it is worth a
	// look.
	Fatal bool
}

// lines says in which line of the file a key stands.
type lines struct {
	at   map[string]uint32 // offsets by path
	ends []int             // offsets of the line ends
}

func (d *decoder) lines() lines {
	p := lines{at: make(map[string]uint32, len(d.marks))}
	for path, r := range d.marks {
		p.at[path] = r.Offset
	}
	for i, b := range d.text {
		if b == '\n' {
			p.ends = append(p.ends, i)
		}
	}
	return p
}

// Line is the line of the file in which a key stands, or what it is part of; 0 where neither was written.
func (c *Config) Line(key string) int {
	for key != "" {
		if offset, ok := c.lines.at[key]; ok {
			line, _ := slices.BinarySearch(c.lines.ends, int(offset))
			return line + 1
		}
		key = enclosing(key)
	}
	return 0
}

// enclosing is what a path is part of: "listen[0]" of "listen[0].address", "listen" of "listen[0]", "" of "listen".
func enclosing(path string) string {
	return path[:max(strings.LastIndexByte(path, '.'), strings.LastIndexByte(path, '['), 0)]
}

package ram_test

import (
	"testing"
	"testing/fstest"

	"postern/internal/platform/ram"
)

const gib = int64(1) << 30

// system is the files of /proc and /sys by name.
func system(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range files {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

// Lines of /proc/self/mountinfo.
const (
	unified = "40 30 0:37 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
	hybrid  = "34 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" +
		"35 31 0:32 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n" +
		"40 30 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	docker = "34 31 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
)

func TestWhatThereIsIsTheLeastOfWhatIsSaid(t *testing.T) {
	const meminfo = "MemTotal:        8388608 kB\nMemFree: 1 kB\n" // 8 GiB
	for name, c := range map[string]struct {
		files map[string]string
		env   string
		total int64
		want  ram.Found
	}{
		"nothing is known": {},
		"half of the machine": {files: map[string]string{"proc/meminfo": meminfo},
			want: ram.Found{Bytes: 4 * gib, Source: "the machine"}},
		"/proc/meminfo is hidden": {total: 2 * gib, want: ram.Found{Bytes: gib, Source: "the machine"}},
		"version 2": {files: map[string]string{"proc/meminfo": meminfo, "proc/self/mountinfo": unified,
			"proc/self/cgroup": "0::/system.slice/postern.service\n", "sys/fs/cgroup/system.slice/postern.service/memory.max": "209715200\n"},
			want: ram.Found{Bytes: 188743680, Source: "the control group"}},
		"version 2, the group above": {files: map[string]string{"proc/self/mountinfo": unified,
			"proc/self/cgroup": "0::/system.slice/postern.service\n", "sys/fs/cgroup/system.slice/memory.max": "1000000000",
			"sys/fs/cgroup/system.slice/postern.service/memory.max": "max\n"},
			want: ram.Found{Bytes: 900000000, Source: "the control group"}},
		"version 2, slowed above a mark": {files: map[string]string{"proc/self/mountinfo": unified,
			"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.high": "1000000", "sys/fs/cgroup/a/memory.max": "2000000"},
			want: ram.Found{Bytes: 900000, Source: "the control group"}},
		"version 2 in a container": {files: map[string]string{"proc/self/mountinfo": unified, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "1000000"}, want: ram.Found{Bytes: 900000, Source: "the control group"}},
		"version 2, its own place hidden": {files: map[string]string{"proc/self/mountinfo": unified,
			"proc/self/cgroup": "0::/../elsewhere\n", "sys/fs/cgroup/memory.max": "1000000"},
			want: ram.Found{Bytes: 900000, Source: "the control group"}},
		"version 1": {files: map[string]string{"proc/meminfo": meminfo, "proc/self/mountinfo": hybrid,
			"proc/self/cgroup": "9:name=systemd:/\n4:memory:/mail\n3:cpuset:/\n0::/\n", "sys/fs/cgroup/memory/mail/memory.limit_in_bytes": "209715200\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"},
			want: ram.Found{Bytes: 188743680, Source: "the control group"}},
		"version 1 in a container": {files: map[string]string{"proc/self/mountinfo": docker, "proc/self/cgroup": "4:cpu,memory:/docker/abc\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000"}, want: ram.Found{Bytes: 900000, Source: "the control group"}},
		"another group's limit": {files: map[string]string{"proc/self/mountinfo": hybrid, "proc/self/cgroup": "4:memory:/mail\n",
			"sys/fs/cgroup/memory/mailing/memory.limit_in_bytes": "1000000"}},
		"no limit": {files: map[string]string{"proc/meminfo": meminfo, "proc/self/mountinfo": hybrid, "proc/self/cgroup": "4:memory:/mail\n",
			"sys/fs/cgroup/memory/mail/memory.limit_in_bytes": "9223372036854771712"}, want: ram.Found{Bytes: 4 * gib, Source: "the machine"}},
		"GOMEMLIMIT":          {files: map[string]string{"proc/meminfo": meminfo}, env: "1500MiB", want: ram.Found{Bytes: 1500 << 20, Source: "GOMEMLIMIT"}},
		"GOMEMLIMIT in bytes": {env: "1000000", want: ram.Found{Bytes: 1000000, Source: "GOMEMLIMIT"}},
		"GOMEMLIMIT with B":   {env: "2000000B", want: ram.Found{Bytes: 2000000, Source: "GOMEMLIMIT"}},
		"GOMEMLIMIT is off":   {files: map[string]string{"proc/meminfo": meminfo}, env: "off", want: ram.Found{Bytes: 4 * gib, Source: "the machine"}},
		"GOMEMLIMIT is no bound": {files: map[string]string{"proc/meminfo": meminfo}, env: "9000000TiB",
			want: ram.Found{Bytes: 4 * gib, Source: "the machine"}},
	} {
		if got := ram.Find(system(c.files), c.env, c.total); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// A plan fits in what there is, however little, down to what the program itself needs; wishes are kept, and what does
// not fit is said.
func TestAPlanFitsOrSaysSo(t *testing.T) {
	w := ram.Wishes{Sessions: 12_000, Outbound: 200, Session: 88 << 10, Admin: 12 << 20}
	last := 0
	for _, whole := range []int64{180 << 20, 256 << 20, 512 << 20, gib, 2 * gib, 4 * gib, 64 * gib} {
		p := ram.Make(w, ram.Found{Bytes: whole})
		if p.Total > whole || p.Over != 0 {
			t.Errorf("%d MiB: the plan takes %d MiB, over by %d", whole>>20, p.Total>>20, p.Over)
		}
		if p.Sessions < 100 || p.Sessions < last || int64(p.Sessions)*w.Session > p.SessionRoom {
			t.Errorf("%d MiB: %d sessions in %d MiB, before it were %d", whole>>20, p.Sessions, p.SessionRoom>>20, last)
		}
		if limit := p.GoLimit(); limit >= p.Total || limit < p.Total/2 {
			t.Errorf("%d MiB: the runtime may take %d of %d MiB", whole>>20, limit>>20, p.Total>>20)
		}
		last = p.Sessions
	}
	if last != 12_000 {
		t.Errorf("with memory for all there is room for %d", last)
	}
	w.Content, w.Young = 100<<20, 50<<20
	p := ram.Make(w, ram.Found{Bytes: 200 << 20})
	if p.Content != w.Content || p.Young != w.Young || p.Over == 0 || p.Sessions != 64 {
		t.Errorf("wishes over what there is: %+v", p)
	}
	w.Memory = 4 * gib
	if p = ram.Make(w, ram.Found{Bytes: 200 << 20}); p.Whole.Source != "limits.memory" || p.Sessions != 12_000 || p.Over != 0 {
		t.Errorf("an administrator says what there is: %+v", p)
	}
	if p = ram.Make(ram.Wishes{Sessions: 10, Session: 1 << 10}, ram.Found{}); p.Over != 0 || p.Sessions != 10 || p.Content != 128<<20 {
		t.Errorf("where nobody knows: %+v", p)
	}
}

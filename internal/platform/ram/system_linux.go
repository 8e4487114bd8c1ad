package ram

import (
	"os"
	"syscall"
)

// System is Find on this machine, for this process.
func System() Found {
	var info syscall.Sysinfo_t
	var total int64
	if syscall.Sysinfo(&info) == nil {
		total = int64(info.Totalram) * int64(info.Unit)
	}
	return Find(os.DirFS("/"), os.Getenv("GOMEMLIMIT"), total)
}

// Resident is the memory of this process that is in no file, in bytes; 0 where nobody tells.
func Resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	return resident(string(text), int64(os.Getpagesize()))
}

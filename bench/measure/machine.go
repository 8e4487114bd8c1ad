package measure

import (
	"bytes"
	"crypto/sha256"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// calibration is the work of Calibrate: how many times 64 KiB are hashed on each processor.
const calibration = 1000

// Calibrate does the same fixed work on every processor at once and returns how long it took. What it says about the
// machine is only by comparison with another call: a slower one means that somebody else took a share.
func Calibrate() time.Duration {
	start := time.Now()
	var all sync.WaitGroup
	for range runtime.NumCPU() {
		all.Go(func() {
			block := make([]byte, 64<<10)
			for range calibration {
				sum := sha256.Sum256(block)
				block[0] = sum[0]
			}
		})
	}
	all.Wait()
	return time.Since(start)
}

// tick is the unit of /proc, USER_HZ: 100 on every Linux there is.
const tick = 10 * time.Millisecond

// Busy returns the time all processors together have worked since the machine started, for itself and, as far as a
// virtual machine can know, for others on the same hardware (steal).
func Busy() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := strings.Fields(string(line))
	var sum int64
	for i, f := range fields {
		if i == 0 || i == 4 || i == 5 || i > 8 { // the name, idle, iowait, guests (which user contains)
			continue
		}
		n, _ := strconv.ParseInt(f, 10, 64) // the kernel's own numbers
		sum += n
	}
	return time.Duration(sum) * tick
}

// Own returns the processor time of this process without its children.
func Own() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Model is the processor's name.
func Model() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // without it the name is unknown, and nothing else depends on it
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

package cluster

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
)

// wrongClock runs a program whose wall clock is off by some seconds, and ends with it. A Go program asks the kernel's
// own code (the vDSO) for the time and no library, so that code is replaced in the memory of the program before it
// begins. Its monotonic clock stays as it is, as that of a machine whose clock was set wrongly.
func wrongClock(seconds string, argv []string) (code int) {
	runtime.LockOSThread() // one thread traces, and is the parent
	var off int32
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	_, err := fmt.Sscan(seconds, &off)
	if err = errors.Join(err, cmd.Start()); err != nil {
		fmt.Fprintln(os.Stderr, "wrong clock:", err)
		return 1
	}
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM)
	go func() { _ = cmd.Process.Signal(<-ends) }() // it may have ended
	if err := offset(cmd.Process.Pid, off); err != nil {
		fmt.Fprintln(os.Stderr, "wrong clock:", err)
		_ = cmd.Process.Kill() // the error is told already
	}
	_ = cmd.Wait() // the exit code says how it ended
	return cmd.ProcessState.ExitCode()
}

// offset replaces the code that tells a stopped process the time, and lets it go on.
func offset(pid int, seconds int32) error {
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || !status.Stopped() {
		return fmt.Errorf("it did not stop: %v, %w", status, err)
	}
	ours, size, err := kernelCode("self")
	if err != nil {
		return err
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		return err
	}
	defer memory.Close()
	text := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(memory, ours, size), text); err != nil {
		return err
	}
	image, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		return err
	}
	symbols, err := image.DynamicSymbols()
	if err != nil {
		return err
	}
	theirs, _, err := kernelCode(fmt.Sprint(pid))
	if err != nil {
		return err
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" {
			if _, err := syscall.PtracePokeText(pid, uintptr(theirs)+uintptr(s.Value), clockCode(seconds)); err != nil {
				return err
			}
			return syscall.PtraceDetach(pid)
		}
	}
	return errors.New("the kernel's code has no clock_gettime")
}

// clockCode is clock_gettime as a system call, and so many seconds more of the wall clock (number 0).
func clockCode(seconds int32) []byte {
	code := []byte{
		0xb8, 228, 0, 0, 0, // mov eax, SYS_clock_gettime
		0x0f, 0x05, // syscall
		0x85, 0xff, // test edi, edi
		0x75, 7, // jne past the next
		0x48, 0x81, 0x06, // add qword ptr [rsi], seconds
	}
	return append(binary.LittleEndian.AppendUint32(code, uint32(seconds)), 0xc3) // ret
}

// kernelCode is where the kernel's own code lies in the memory of a process.
func kernelCode(process string) (start, size int64, err error) {
	maps, err := os.ReadFile("/proc/" + process + "/maps")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(line, "[vdso]\n") {
			var end int64
			_, err := fmt.Sscanf(line, "%x-%x", &start, &end)
			return start, end - start, err
		}
	}
	return 0, 0, errors.New("the kernel has no code there")
}

package crash

import "syscall"

// canBreak is whether the tracer knows the registers of this machine.
const canBreak = true

// points are the calls that change something outside the process, by number.
func points() map[uint64]point {
	return map[uint64]point{
		syscall.SYS_WRITE: {"write", -1}, syscall.SYS_PWRITE64: {"pwrite64", -1}, syscall.SYS_WRITEV: {"writev", -1},
		syscall.SYS_PWRITEV: {"pwritev", -1}, syscall.SYS_FSYNC: {"fsync", -1}, syscall.SYS_FDATASYNC: {"fdatasync", -1},
		syscall.SYS_FTRUNCATE: {"ftruncate", -1}, syscall.SYS_FALLOCATE: {"fallocate", -1},
		syscall.SYS_SYNC_FILE_RANGE: {"sync_file_range", -1},
		syscall.SYS_SENDTO:          {"sendto", -1}, syscall.SYS_SENDMSG: {"sendmsg", -1}, syscall.SYS_CONNECT: {"connect", -1},
		syscall.SYS_OPEN: {"open", 0}, syscall.SYS_OPENAT: {"openat", 1}, syscall.SYS_MKDIR: {"mkdir", 0},
		syscall.SYS_MKDIRAT: {"mkdirat", 1}, syscall.SYS_RENAME: {"rename", 0}, syscall.SYS_RENAMEAT: {"renameat", 1},
		316: {"renameat2", 1}, syscall.SYS_UNLINK: {"unlink", 0}, syscall.SYS_UNLINKAT: {"unlinkat", 1},
		syscall.SYS_TRUNCATE: {"truncate", 0},
	}
}

// skip keeps a call that was entered from happening.
func skip(tid int) {
	var r syscall.PtraceRegs
	if syscall.PtraceGetRegs(tid, &r) == nil {
		r.Orig_rax = ^uint64(0)
		_ = syscall.PtraceSetRegs(tid, &r) // a thread that is gone does nothing any more
	}
}

// setResult is what a call returns.
func setResult(tid int, result int64) {
	var r syscall.PtraceRegs
	if syscall.PtraceGetRegs(tid, &r) == nil {
		r.Rax = uint64(result)
		_ = syscall.PtraceSetRegs(tid, &r)
	}
}

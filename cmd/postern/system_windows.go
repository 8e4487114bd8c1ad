package main

import (
	"io"
	"os"
)

// openFiles: there is no such limit here.
func openFiles() (n int, known bool) { return 0, false }

// nonblocking leaves a pipe as it is: whoever reads the log must go on reading.
func nonblocking(f *os.File) (to io.Writer, restore func()) { return f, func() {} }

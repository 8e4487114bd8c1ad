package logging

import (
	"io"
	"os"
)

// nonblocking leaves a pipe as it is: whoever reads the log must go on reading.
func nonblocking(f *os.File) (to io.Writer, restore func()) { return f, func() {} }

package server

// openFiles: there is no such limit here.
func openFiles() (n int, known bool) { return 0, false }

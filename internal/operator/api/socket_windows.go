package api

// making is the path under which a socket is made: its own, for modes say nothing here.
func making(path string) string { return path }

// private: the access list of the data folder decides who may ask.
func private(string) error { return nil }

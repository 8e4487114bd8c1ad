package wal

// syncNames does nothing: Windows has no such call. NTFS writes names to a log of its own, in their order, and when is
// its affair. That is one reason why serve says that this system is none for service.
func syncNames(string) error { return nil }

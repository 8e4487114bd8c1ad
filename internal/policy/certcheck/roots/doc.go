// Package roots keeps the trusted roots that certificates are examined against: the public ones (the system's, the
// bundled Mozilla set, or a file) and the private CAs that rules and domains name by their files.
//
// What a file holds is read by certpem: whatever looks like a certificate and cannot be read makes the whole file an
// error, with its line. The system's own file alone may hold certificates of a kind unknown here; they are left out and
// told.
//
// A file is looked at again, at most once a second and only when somebody asks, and read anew when it changed. A file
// that has become unreadable, empty or cut off keeps its last good content in force, and the Notice callback says so;
// one that never was good is an error. A pool is never empty: no roots would mean trusting nobody, and a pool that is
// missing means the same to certcheck, but an error tells why.
//
// Roots stop being trusted at their own expiry date, because each examination checks it; the constraints that the
// Mozilla programme puts on a root (no trust for what was issued after a date) are kept with the bundled set.
package roots

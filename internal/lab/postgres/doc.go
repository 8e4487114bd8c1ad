// Package postgres runs a PostgreSQL server for tests: Debian's programs, installed or unpacked by test/prepare.sh, on
// a folder of its own below the system's temporary one, behind a socket in that folder and on a free port of loopback.
//
// PostgreSQL refuses to run as root, so for root it runs as nobody. It writes to the disk as it does in production
// (fsync is on). One server serves a whole run of tests, each with a schema of its own; whoever started it stops
// it.
package postgres

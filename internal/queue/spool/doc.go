// Package spool keeps what a store has in files: the lock of the data folder, large bodies while they are written, read
// and removed, and the room that is left on the disk.
//
// Nothing in the folder is made, opened for writing or removed before its lock is held (see Take): a second Take
// changes nothing, whatever was removed and by whatever path it came.
//
// A body is durable before anybody is told its name (Draft.Seal): its file and its folder are synced. What no message
// names is swept away.
package spool

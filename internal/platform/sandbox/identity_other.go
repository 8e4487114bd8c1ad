//go:build !unix

package sandbox

import "io/fs"

// ownerOf knows no numbers here.
func ownerOf(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }

// Become is for Unix only.
func (id Identity) Become() error { return ErrUnsupported }

// OthersMay is nothing: modes say nothing about others here, the folder's access list does.
func OthersMay(fs.FileInfo) fs.FileMode { return 0 }

//go:build !linux

package api

// longestPath is how many bytes the path of a socket may have: the least of the systems, that of macOS and the BSDs.
const longestPath = 103

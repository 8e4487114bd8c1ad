// Package rulediff says how two sets of rules differ, and which of the changes may protect some message less than
// before.
//
// Ground room: both sets are arguments.
package rulediff

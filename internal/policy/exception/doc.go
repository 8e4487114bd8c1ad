// Package exception sets aside, for a time, what a recipient's domain publishes about TLS: the entries [[exception]] of
// the rules file.
//
// Ground room: the time is an argument.
package exception

// Package rulevalue reads the values that stand in a rules file, and prints them: names, dates, sizes, times, networks,
// domains, header fields, names of certificates, pins.
//
// What cannot be meant is a problem at its place, with what to write instead. What the values are good for is said by
// package rule, whose grammar names these readers.
//
// Ground room: the text is an argument.
package rulevalue

// Package rulelist holds the lists of addresses that rules name: the entries [[list]] of the rules file, and what their
// files held.
//
// A Book finds the lists that an address is in, whether there are ten values or 100,000. Fill puts what the files of
// lists hold into the text of a rules file, and Replace changes the values of one list there.
//
// Ground room: the text and what files hold are arguments.
package rulelist

// Package ruleedit works on the text of a rules file: it changes one rule or one exception and leaves the rest
// as it was, and checks the files and routes that the rules name.
//
// Ground room: the text is an argument.
package ruleedit

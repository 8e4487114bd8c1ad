// Package database is what SQL wants of an engine: statements that call back for each row,
// changes in a transaction, and the few words in which engines differ (Dialect).
//
// Texts have ? or ?1 in the place of arguments, which are int64, string, []byte or nil. Times are microseconds of Unix
// time in integer columns, nil for none (see Stamp). NULL reads as zero.
package database

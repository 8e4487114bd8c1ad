// Package sqlite speaks to one SQLite database: connections with prepared statements (Conn), what its result codes mean
// for a queue, the settings that durability stands on, and the steps from one form of a database to the next.
//
// It knows no table. The driver ends here.
package sqlite

// Package postgres speaks to a PostgreSQL database: connections with prepared statements (Conn), many statements in one
// round trip (Batch), a pool for readers (Pool), what the server's error codes mean for a queue, the settings of each
// session and those that durability stands on, and the steps from one form of the tables to the next.
//
// It knows no table. The driver ends here. Texts are those of package database, with ? or ?1 in the place of arguments;
// they become $1 once for each text. The arguments are int64, string, []byte, nil, lists of int64 and of string, and
// columns of many rows (Columns). A text is prepared once on each connection, so the server must be spoken to directly,
// or through a pooler that keeps a session's statements.
package postgres

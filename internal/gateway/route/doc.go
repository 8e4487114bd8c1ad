// Package route answers where mail for a domain goes: to hosts an administrator named, or through MX. The answer is a
// Plan of hops with addresses that have been judged; whoever dials, dials those and asks no resolver again.
package route

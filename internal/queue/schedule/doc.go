// Package schedule decides which site may try next, and when.
package schedule

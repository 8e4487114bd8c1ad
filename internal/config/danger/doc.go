// Package danger finds what a configuration tells the gateway to do and what is hardly meant: letting strangers relay,
// showing the console to everybody, a name nobody can find. It reads no file that the configuration names.
package danger

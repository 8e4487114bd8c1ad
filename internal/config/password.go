package config

import "postern/internal/platform/passhash"

// Proof returns what changes when the password of a user does, "" where there is no such user. It is as secret as the
// hash.
func (c *Config) Proof(name string) string {
	for _, u := range c.User {
		if u.Name == name {
			return u.PasswordHash
		}
	}
	return ""
}

// Authenticate reports whether there is a user of that name with that password. It takes as long for a name that does
// not exist as for a wrong password. It needs the memory its hash asks for, so callers bound how many run at a time.
// Safe for concurrent use.
func (c *Config) Authenticate(name, password string) bool {
	hash, known := passhash.Nobody(), false
	for _, u := range c.User {
		if u.Name != name {
			continue
		}
		if h, err := passhash.Parse(u.PasswordHash); err == nil {
			hash, known = h, true
		}
	}
	return hash.Matches(password) && known
}

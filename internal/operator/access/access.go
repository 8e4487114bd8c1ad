// Package access says what somebody may do to the gateway: a role, the domains it holds for, and what a token leaves of
// it. It knows no passwords and no sessions (accounts does) and no requests (admin asks it before each).
//
//	role           may
//	auditor        look: status, trace, rules, destinations, audit trail, settings
//	operator       and act on waiting mail, run checks, approve mail hosts
//	administrator  and change rules, accounts and tokens, forget what is remembered, read mail in quarantine, lower
//	               protection
//
// A scope of named domains narrows each of these to mail whose sender or recipient is in them. What is about the whole
// installation (settings, the accounts of others) is then out of reach.
//
// Ground room.
package access

import (
	"slices"
	"time"

	"postern/internal/mail"
)

// Capability is one thing somebody may do. Tokens name them as their scopes.
type Capability string

// The capabilities.
const (
	ReadStatus   Capability = "status:read"
	ReadTrace    Capability = "trace:read"
	ReadRules    Capability = "rules:read"
	ReadPeers    Capability = "peers:read"
	ReadAudit    Capability = "audit:read"
	ReadSettings Capability = "settings:read"
	ReadAccounts Capability = "accounts:read"

	ActOnQueue Capability = "queue:act"
	RunChecks  Capability = "check:run"
	ApproveMX  Capability = "peers:approve"

	WriteRules    Capability = "rules:write"
	ForgetPeers   Capability = "peers:forget"
	ReadContent   Capability = "content:read" // of mail in quarantine
	Lower         Capability = "queue:lower"  // the only way a requirement is ever lowered
	ReloadFiles   Capability = "settings:reload"
	WriteAccounts Capability = "accounts:write"
)

// Role is a set of capabilities with a name. The zero value may nothing.
type Role string

// The roles, each holding what the ones before it hold.
const (
	Auditor       Role = "auditor"
	Operator      Role = "operator"
	Administrator Role = "administrator"
)

// Roles lists the roles, the one that may least first.
func Roles() []Role { return []Role{Auditor, Operator, Administrator} }

func looks() []Capability {
	return []Capability{ReadStatus, ReadTrace, ReadRules, ReadPeers, ReadAudit, ReadSettings}
}

// Capabilities lists what a role may do; none for a name that is no role.
func (r Role) Capabilities() []Capability {
	out := looks()
	switch r {
	case Auditor:
	case Operator:
		out = append(out, ActOnQueue, RunChecks, ApproveMX)
	case Administrator:
		out = append(out, ActOnQueue, RunChecks, ApproveMX, WriteRules, ForgetPeers, ReadContent, Lower, ReloadFiles,
			ReadAccounts, WriteAccounts)
	default:
		return nil
	}
	return out
}

// Valid reports whether r is one of Roles.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// All lists every capability, for whoever makes a token.
func All() []Capability { return Administrator.Capabilities() }

// Means says what whoever holds a capability can do, a clause each, for whoever gives it away.
func (c Capability) Means() string {
	return map[Capability]string{
		ReadStatus:   "sees how the gateway is",
		ReadTrace:    "sees who wrote to whom and what became of it, with the evidence",
		ReadRules:    "sees the rules",
		ReadPeers:    "sees the servers mail goes to",
		ReadAudit:    "sees who changed what",
		ReadSettings: "sees the configuration",
		ReadAccounts: "sees who may sign in, and everybody's tokens",
		ActOnQueue:   "retries, holds, releases and cancels waiting mail",
		RunChecks:    "makes the gateway connect to servers to examine them",
		ApproveMX:    "makes mail hosts trusted by rules",
		WriteRules:   "changes and deletes rules, and so what protects mail",
		ForgetPeers:  "makes the gateway forget servers, which then are not missed without TLS",
		ReadContent:  "reads what mail in quarantine says",
		Lower:        "takes protection away from waiting mail",
		ReloadFiles:  "makes the gateway read its files again",
		WriteAccounts: "can become anybody: it sets everybody's password by a link, makes administrators and ends " +
			"tokens",
	}[c]
}

// Dangerous reports whether a capability needs somebody who proved a moment ago who he is.
func (c Capability) Dangerous() bool {
	return slices.Contains([]Capability{ApproveMX, WriteRules, ForgetPeers, ReadContent, Lower, WriteAccounts}, c)
}

// wide reports whether a capability is about the whole installation, so that a scope of domains excludes it.
func (c Capability) wide() bool {
	return slices.Contains([]Capability{ReadSettings, ReadAccounts, WriteAccounts, ReloadFiles, ForgetPeers}, c)
}

// Scope is which mail somebody may see and act on. The zero value is none.
type Scope struct {
	All     bool          `json:"all,omitempty"`
	Domains []mail.Domain `json:"domains,omitempty"` // exact; read only where All is not set
}

// Covers reports whether mail of a domain is within the scope.
func (s Scope) Covers(d mail.Domain) bool { return s.All || slices.Contains(s.Domains, d) }

// Within reports whether s reaches no further than other.
func (s Scope) Within(other Scope) bool {
	if other.All {
		return true
	}
	return !s.All && !slices.ContainsFunc(s.Domains, func(d mail.Domain) bool { return !other.Covers(d) })
}

// Way is how somebody came in.
type Way string

// The ways.
const (
	BySocket  Way = "socket" // who may open it may do everything; the kernel tells who that is
	BySession Way = "session"
	ByToken   Way = "token"
)

// Principal is somebody who asks. The zero value may nothing.
type Principal struct {
	// Name stands in the audit trail: "anna", "anna (token ci)", "root (uid 0)".
	Name    string
	Account string // id of the account, "" at the socket
	Role    Role
	Scope   Scope
	Way     Way
	// Only, when not nil, limits the role to these: the scopes of a token.
	Only []Capability
	// FreshUntil is until when a proof of who this is counts for dangerous actions. Sessions only; the others are
	// always fresh.
	FreshUntil time.Time
}

// Root is who asks at the socket: everything, everywhere.
func Root(name string) Principal {
	return Principal{Name: name, Role: Administrator, Scope: Scope{All: true}, Way: BySocket}
}

// May reports whether p may do c, somewhere at least.
func (p *Principal) May(c Capability) bool {
	if p.Only != nil && !slices.Contains(p.Only, c) || c.wide() && !p.Scope.All {
		return false
	}
	return slices.Contains(p.Role.Capabilities(), c)
}

// Fresh reports whether p proved a moment ago who he is, as dangerous actions ask.
func (p *Principal) Fresh(now time.Time) bool { return p.Way != BySession || now.Before(p.FreshUntil) }

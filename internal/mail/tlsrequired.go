package mail

import "strings"

// TLSRequiredNo reports whether the header section says "TLS-Required: No", as RFC 8689 §3 has it: in exactly one
// field, with that word alone, in any case, and nothing but white space around it. Whatever else such a field says
// counts as not said, and so does all of it in a section that was cut off.
func (h Header) TLSRequiredNo() bool {
	fields := h.All("TLS-Required")
	return len(fields) == 1 && !h.Truncated() && strings.EqualFold(strings.Trim(fields[0].Value(), " \t\r\n"), "No")
}

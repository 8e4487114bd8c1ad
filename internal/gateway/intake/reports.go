package intake

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"postern/internal/mail"
	"postern/internal/policy/tlsrpt"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
)

// Mail to an address of Config.ReportsTo may be a report about TLS (RFC 8460), which ends here:
//
//	RCPT   the address is taken whatever is known of mailboxes: there need be none, and a client without TLS is as
//	       welcome as any, since that may be what it reports
//	DATA   the content is kept beside the draft, as far as there is memory to spare
//	"."    a report is kept, and 250 is said when it is durable; of other recipients the message goes on as ever. What
//	       is no report is ordinary mail: it goes on to the domain's server, and where that knows no such mailbox the
//	       sender hears it now

// Reports takes the content of a mail that may be a report about TLS. taken says that it is kept, durably; otherwise no
// is the answer to it, nil where it is ordinary mail.
type Reports func(ctx context.Context, content []byte, client netip.Addr) (taken bool, no *smtp.Reply)

// takesReports reports whether an address is one for reports, in whatever letters.
func (i *Intake) takesReports(to mail.Address) bool {
	return i.cfg.Reports != nil && slices.ContainsFunc(i.cfg.ReportsTo,
		func(a mail.Address) bool { return strings.EqualFold(a.String(), to.String()) })
}

// forReports reports whether a recipient of the message is an address for reports.
func (m *incoming) forReports() bool {
	return slices.ContainsFunc(m.s.recipients, func(r mail.Recipient) bool { return m.s.in.takesReports(r.Address) })
}

// copyOf is the content of a mail that may be a report.
type copyOf struct {
	wanted bool
	take   Reports
	parts  [][]byte
	size   int
	short  bool // there was no memory for all of it
	memory *smtpserver.Memory
}

// add keeps more of the content.
func (c *copyOf) add(p []byte) {
	if !c.wanted || c.short {
		return
	}
	if c.size+len(p) > tlsrpt.MaxMail { // a report is not so large
		c.release()
		c.wanted = false
		return
	}
	if c.memory != nil && !c.memory.TakeSpare(len(p)) {
		c.release()
		c.short = true
		return
	}
	c.parts, c.size = append(c.parts, slices.Clone(p)), c.size+len(p)
}

// release gives the memory back.
func (c *copyOf) release() {
	if c.memory != nil {
		c.memory.Give(c.size)
	}
	c.parts, c.size = nil, 0
}

// report finds out whether the message is a report. done says that nothing is left to do and no is the answer, whatever
// it is.
func (m *incoming) report(ctx context.Context) (done bool, answer *smtp.Reply) {
	if m.copy.short {
		return true, smtp.NewReply(452, "4.3.1", "no room to read a report now, try again later")
	}
	var taken bool
	if m.copy.wanted {
		var no *smtp.Reply
		content := slices.Concat(m.copy.parts...)
		m.copy.parts = nil // it waits for its turn once and not twice
		if taken, no = m.copy.take(ctx, content, m.info.Client.Addr()); no != nil {
			return true, no
		}
		m.copy.release()
	}
	rest := slices.DeleteFunc(slices.Clone(m.s.recipients),
		func(r mail.Recipient) bool { return m.s.in.takesReports(r.Address) })
	switch {
	case taken && len(rest) == 0:
		return true, smtp.NewReply(250, "2.0.0", "Ok: the report is kept")
	case taken:
		m.s.recipients = rest
	case len(m.s.recipients) == 1:
		no := m.s.exists(ctx, m.s.recipients[0].Address)
		return no != nil, no
	}
	return false, nil
}

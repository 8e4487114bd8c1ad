package intake

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	"postern/internal/event"
	"postern/internal/gateway/clientname"
	"postern/internal/mail"
	"postern/internal/queue"
	"postern/internal/smtp"
	"postern/internal/smtp/smtpserver"
)

// incoming is one message while it is received.
type incoming struct {
	s       *session
	info    smtpserver.ConnInfo
	message queue.Message
	scan    headerScan
	header  mail.Header // once it is complete
	draft   queue.Draft
	copy    copyOf // where it may be a report
	look    look   // at its attachments and text, where rules ask
}

// Data receives the content and makes the message durable.
func (s *session) Data(ctx context.Context, c *smtpserver.Content) *smtp.Reply {
	m, no := s.begin(ctx)
	if no != nil {
		return no
	}
	defer m.scan.release()
	defer m.copy.release()
	defer m.look.release()
	defer m.draft.Discard() // nothing after Accept; before, a draft that cannot be removed is swept at the next start
	if no := m.receive(c); no != nil {
		return no
	}
	m.message.EightBit = c.EightBit() || m.scan.eightBit
	if m.forReports() {
		if done, answer := m.report(ctx); done {
			return answer
		}
	}
	return m.accept(ctx)
}

// begin opens the draft and writes the stamp.
func (s *session) begin(ctx context.Context) (*incoming, *smtp.Reply) {
	if !s.in.cfg.Others.Live() {
		return nil, notNow()
	}
	m := &incoming{s: s, info: s.conn.Info()}
	name := s.name.Result(ctx) // it was looked up since the client connected
	now := time.Now()
	m.message = queue.Message{
		ID: queue.NewID(now, s.in.cfg.Random()), Kind: queue.Ordinary, Envelope: s.envelope, AcceptedAt: now,
		Inbound: queue.Inbound{
			Client: m.info.Client.Addr(), Helo: m.info.Helo, Listener: m.info.Listener, Protocol: m.info.Protocol,
			User: m.info.User, TLS: m.info.TLS, Relayed: s.rights.relay, Bound: domains(s.rights.bound),
		},
	}
	var err error
	if m.draft, err = s.in.cfg.Store.NewDraft(ctx); err != nil {
		return nil, s.in.storeFailed(err)
	}
	line := m.stamp(name)
	m.scan.memory = s.in.cfg.Memory
	m.copy = copyOf{take: s.in.now().cfg.Reports, memory: s.in.cfg.Memory}
	m.copy.wanted = m.copy.take != nil && m.forReports()
	m.look = look{Look: s.in.cfg.InForce().Look(), memory: s.in.cfg.Memory}
	m.scan.stamp(line)
	if _, err := m.draft.Write(line); err != nil {
		m.draft.Discard() // the write's error is the one to report
		return nil, s.in.storeFailed(err)
	}
	return m, nil
}

// beginName begins to look up the name of a client. Those of relay networks are our own side: nobody is asked about
// them.
func (i *Intake) beginName(client netip.Addr) *clientname.LookUp {
	if i.cfg.Names == nil || i.bindings.inNetwork(client) {
		return nil
	}
	return i.cfg.Names.Begin(client)
}

// stamp is the Received line of design.md §4. Of our own side, that logged in or showed a certificate, it never says
// that there is no name: it may be anywhere, and that is nobody's concern.
func (m *incoming) stamp(name clientname.Result) []byte {
	r := mail.Received{
		ReverseName: name.Name, NoReverse: name.None && !m.s.rights.relay,
		Helo: m.info.Helo, Client: m.info.Client.Addr(), TLS: m.info.TLS, Hostname: m.s.in.cfg.Hostname,
		Protocol: m.info.Protocol, ID: string(m.message.ID), Date: m.message.AcceptedAt,
	}
	if len(m.s.recipients) == 1 { // with more, a line would tell each of the others (RFC 5321 §7.2)
		r.For = m.s.recipients[0].Address
	}
	return r.AppendTo(nil)
}

const (
	largeBuffer = 32 << 10 // what content is copied through
	smallBuffer = 2 << 10  // the same when memory is short
)

// buffer lends what content is copied through, a small one when too much is lent.
func (i *Intake) buffer() (buf []byte, giveBack func()) {
	memory := i.cfg.Memory
	if memory != nil && !memory.TakeSpare(largeBuffer) {
		return make([]byte, smallBuffer), func() {}
	}
	large := i.buffers.Get().(*[]byte)
	return *large, func() {
		i.buffers.Put(large)
		if memory != nil {
			memory.Give(largeBuffer)
		}
	}
}

// receive copies the content into the draft, a buffer at a time. Whatever it answers when the content was not whole is
// not heard: the engine knows better.
func (m *incoming) receive(c *smtpserver.Content) *smtp.Reply {
	buf, giveBack := m.s.in.buffer()
	defer giveBack()
	for first := true; ; first = false {
		n, err := c.Read(buf)
		if n > 0 {
			if no := m.take(buf[:n], first); no != nil {
				return no
			}
		}
		if err == io.EOF {
			return m.headerAtEnd()
		}
		if err != nil {
			return smtp.NewReply(451, "4.3.0", "the message did not arrive whole")
		}
	}
}

func (m *incoming) take(p []byte, first bool) *smtp.Reply {
	if first && continues(p) {
		return smtp.NewReply(554, "5.6.0", "the message begins with a continuation line")
	}
	if !m.scan.done {
		if !m.scan.write(p) {
			return noRoomForHeader()
		}
		if m.scan.size-m.scan.stamped > m.s.in.cfg.HeaderSize {
			return smtp.NewReply(552, "5.3.4", "the header section is larger than this server takes")
		}
		if m.scan.done {
			if no := m.headerComplete(); no != nil {
				return no
			}
		}
	}
	if _, err := m.draft.Write(p); err != nil {
		return m.s.in.storeFailed(err)
	}
	m.copy.add(p)
	if !m.look.add(p) {
		return smtp.NewReply(452, "4.3.1", "no room to look into the message now, try again later")
	}
	return nil
}

// headerComplete judges the header section as soon as it is there, so that a looping message is not read to its end.
func (m *incoming) headerComplete() *smtp.Reply {
	var room bool
	if m.header, room = m.scan.parse(); !room {
		return noRoomForHeader()
	}
	hops := m.header.Count("Received") - 1 // ours is the first
	if hops > m.s.in.cfg.Hops {
		return smtp.NewReply(554, "5.4.6", "too many Received lines: the message is in a loop")
	}
	return nil
}

func noRoomForHeader() *smtp.Reply {
	return smtp.NewReply(452, "4.3.1", "no room to judge so large a header section now, try again later")
}

// headerAtEnd judges a message that is all header.
func (m *incoming) headerAtEnd() *smtp.Reply {
	if m.scan.done {
		return nil
	}
	return m.headerComplete()
}

// storeFailed is the answer to an error of the store. Nothing was accepted, the client keeps the message.
func (i *Intake) storeFailed(err error) *smtp.Reply {
	i.cfg.Sink.Emit(event.Warned{What: "queue", Text: err.Error(),
		Hint: "mail is answered with 4xx until the store works again"})
	if errors.Is(err, queue.ErrFull) {
		return smtp.NewReply(452, "4.3.1", "no room to store the message, try again later")
	}
	return smtp.NewReply(451, "4.3.0", "the message could not be stored, try again later")
}

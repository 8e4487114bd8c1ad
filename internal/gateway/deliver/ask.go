package deliver

import (
	"context"
	"time"

	"postern/internal/mail"
	"postern/internal/smtp/smtpclient"
)

// Ask is smtpclient.Conn.Ask over the channel, judged like Send: nothing of either address is said over a connection
// that does not pass the terms at this moment, or if still does not hold any more. Errors are those of Send.
func (c *Channel) Ask(ctx context.Context, on Terms, from, to mail.Address,
	still func() bool) (smtpclient.Asked, error) {
	if err := c.clear(ctx, on, still); err != nil {
		return smtpclient.Asked{}, err
	}
	asked, err := c.link.conn.Ask(ctx, from, to)
	c.link.used, c.asked = time.Now(), true
	return asked, err
}

// clear is what comes before every MAIL: the connection is judged for the terms, a first use is written down, and still
// holds.
func (c *Channel) clear(ctx context.Context, on Terms, still func() bool) error {
	if err := c.judge(ctx, on); err != nil {
		return err
	}
	if err := c.claim(ctx); err != nil {
		return err
	}
	if !still() {
		return ErrOvertaken
	}
	return nil
}

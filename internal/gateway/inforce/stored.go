package inforce

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"postern/internal/mail"
	"postern/internal/mail/mimewalk"
	"postern/internal/queue"
)

// Mail is where stored messages are read; queue.Store is one.
type Mail interface {
	Open(ctx context.Context, id queue.ID) (io.ReadSeekCloser, error)
	List(ctx context.Context, f queue.Filter) iter.Seq2[queue.Record, error]
}

// stored judges a stored message that goes to some recipients.
func (v *View) stored(ctx context.Context, from Mail, m *queue.Message, a *addressed) (
	map[mail.Address]*Judged, error) {
	var header mail.Header
	if v.Rules.NeedsHeader() {
		var err error
		if header, err = readHeader(ctx, from, m); err != nil {
			return nil, err
		}
	}
	content := &mimewalk.Content{}
	if v.Rules.NeedsContent() {
		var err error
		if content, err = readContent(ctx, from, m); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	judged := v.judge(m, header, content, a.to, now)
	judged = append(judged, v.copies(m, header, content, a.copies, judged, now)...)
	out := make(map[mail.Address]*Judged, len(judged))
	for i, address := range slices.Concat(a.to, a.copies) {
		out[address] = &judged[i]
	}
	return out, nil
}

// readContent reads what rules ask of the content of a stored message.
func readContent(ctx context.Context, from Mail, m *queue.Message) (*mimewalk.Content, error) {
	body, err := from.Open(ctx, m.ID)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var w mimewalk.Walker
	if _, err := io.Copy(&w, body); err != nil {
		return nil, fmt.Errorf("the stored content of %s cannot be read: %w", m.ID, err)
	}
	content := w.Content()
	return &content, nil
}

func readHeader(ctx context.Context, from Mail, m *queue.Message) (mail.Header, error) {
	body, err := from.Open(ctx, m.ID)
	if err != nil {
		return mail.Header{}, err
	}
	defer body.Close()
	text := make([]byte, m.HeaderSize)
	if _, err := io.ReadFull(body, text); err != nil {
		return mail.Header{}, fmt.Errorf("the stored header of %s cannot be read: %w", m.ID, err)
	}
	return mail.ParseHeader(text), nil
}

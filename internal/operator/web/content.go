package web

import (
	"strings"

	"postern/internal/operator/waiting"
)

// contentView is what a message in quarantine says, as text.
type contentView struct {
	waiting.Content
	Shown string
	More  int64 // bytes that are not shown
}

// content shows a message in quarantine. It is asked for by POST, because who reads is recorded.
func (c *Console) content(r *request) error {
	out, err := r.desk.Content(r.ctx(), r.PathValue("id"))
	if err != nil {
		return err
	}
	v := contentView{Content: out, More: out.Size - int64(len(out.Text))}
	v.Shown = strings.ReplaceAll(strings.ToValidUTF8(string(out.Text), "\uFFFD"), "\r\n", "\n")
	return c.page(r, "content", "Content of message "+out.Message, v)
}

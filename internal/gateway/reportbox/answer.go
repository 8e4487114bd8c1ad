package reportbox

import (
	"context"
	"errors"
	"net/http"
	"net/netip"

	"postern/internal/event"
	"postern/internal/history/tlsreports"
	"postern/internal/smtp"
)

// Answer takes a mail for intake, in the words of SMTP. taken says that it is kept, durably. Otherwise no is the
// answer, nil where it is no report and goes on as ordinary mail.
func (b *Box) Answer(ctx context.Context, content []byte, client netip.Addr) (taken bool, no *smtp.Reply) {
	_, err := b.Mail(ctx, content, client)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrNoReport):
		return false, nil
	case errors.Is(err, ErrBusy):
		return false, smtp.NewReply(451, "4.3.2", "other reports are read just now, try again later")
	case errors.Is(err, ErrUnknown):
		return false, smtp.NewReply(451, "4.7.5", "the key of the report's signature cannot be looked up now, try "+
			"again later")
	case errors.Is(err, tlsreports.ErrTooMany):
		return false, smtp.NewReply(452, "4.5.3", "too many reports came from there today, try again tomorrow")
	}
	b.failed(err)
	return false, smtp.NewReply(451, "4.3.0", "the report could not be stored, try again later")
}

// Posted takes a document for publicweb, in the words of HTTP: the status and a sentence.
func (b *Box) Posted(ctx context.Context, document []byte, client netip.Addr) (code int, text string) {
	added, err := b.Post(ctx, document, client)
	switch {
	case err == nil && added.Copy:
		return http.StatusOK, "This report was here already.\n"
	case err == nil:
		return http.StatusCreated, "The report is kept.\n"
	case errors.Is(err, ErrNoReport):
		return http.StatusBadRequest, "This cannot be taken: " + err.Error() + ".\n"
	case errors.Is(err, ErrBusy):
		return http.StatusServiceUnavailable, "Other reports are read just now, try again later.\n"
	case errors.Is(err, tlsreports.ErrTooMany):
		return http.StatusTooManyRequests, "Too many reports came from there today, try again tomorrow.\n"
	}
	b.failed(err)
	return http.StatusServiceUnavailable, "The report cannot be stored now, try again later.\n"
}

// failed tells of the store.
func (b *Box) failed(err error) {
	b.cfg.Sink.Emit(event.Warned{What: "tls reports", Text: "a report that came in cannot be kept: " +
		smtp.Printable(err.Error(), 300), Hint: "check the disk of the data directory; whoever sends it tries again"})
}

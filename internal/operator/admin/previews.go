package admin

import "errors"

// PreviewsAtOnce bounds the previews that look at past mail at a time, for everybody.
const PreviewsAtOnce = 4

// ErrPreviews: as many previews look at past mail as may.
var ErrPreviews = errors.New("as many previews as may run at once are running; try again in a moment")

package render

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/heptaup/hepta/internal/progress"
)

// work is one operation that has begun and not ended.
type work struct {
	op             int
	label          string
	text           string // its phase
	current, total int64
	began          time.Time
	told           time.Time // when a line about it was last written
}

// works are the operations under way. Plans number theirs; others are told
// apart by what they are called.
type works map[string]*work

func key(e progress.Event) string {
	if e.Op != 0 {
		return strconv.Itoa(e.Op)
	}
	return label(e)
}

// take updates the work that e is about and reports whether e began it and
// whether its phase is new.
func (ws works) take(e progress.Event) (w *work, begun, phase bool) {
	w = ws[key(e)]
	if w == nil {
		w = &work{op: e.Op, label: label(e), began: e.Time}
		ws[key(e)] = w
		begun = true
	}
	if text := clean(e.Text); text != "" && text != w.text {
		w.text, phase = text, true
	}
	if e.Total > 0 || e.Current > 0 {
		// A sum over layers may shrink when a layer turns up late; what is shown does not.
		w.total = max(w.total, e.Total)
		w.current = max(w.current, e.Current)
	}
	return w, begun, phase
}

// finish takes the work out; an operation that was never announced has no duration.
func (ws works) finish(e progress.Event) *work {
	w := ws[key(e)]
	if w == nil {
		w = &work{op: e.Op, label: label(e), began: e.Time}
	}
	delete(ws, key(e))
	return w
}

// sorted is oldest first.
func (ws works) sorted() []*work {
	list := make([]*work, 0, len(ws))
	for _, w := range ws {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b *work) int {
		return cmp.Or(a.began.Compare(b.began), cmp.Compare(a.op, b.op))
	})
	return list
}

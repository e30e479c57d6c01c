// Package progress carries what long work has to say to people and programs:
// one stream of events, rendered by whoever listens.
package progress

import "time"

// State is where a piece of work stands.
type State string

// The states in the order in which a piece of work passes them. Waiting may
// come between Running and Done; Info belongs to no piece of work.
const (
	Running State = "running"
	Waiting State = "waiting"
	Done    State = "done"
	Failed  State = "failed"
	Info    State = "info"
)

// Note is the Kind of an Info event that people have to read: it is shown
// whatever else is not.
const Note = "note"

// Event is one thing that happened. It never holds a secret.
type Event struct {
	Time     time.Time `json:"time"`
	Op       int       `json:"op,omitempty"` // number of the plan's operation, 0 when none
	Kind     string    `json:"kind,omitempty"`
	Resource string    `json:"resource,omitempty"`
	State    State     `json:"state"`
	Text     string    `json:"text,omitempty"` // what a person reads: a phase, a cause, a remedy
	Current  int64     `json:"current,omitempty"`
	Total    int64     `json:"total,omitempty"`
}

// Sink takes events. It must be safe for concurrent use and return quickly.
// A nil Sink drops everything.
type Sink func(Event)

// Send passes e on, stamping the time where it is missing.
func (s Sink) Send(e Event) {
	if s == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	s(e)
}

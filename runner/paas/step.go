package paas

// Event is what happened to a job.
type Event struct {
	Kind  EventKind
	Host  *Host  // with HostMade
	Text  string // with LaunchFailed: for the job's author
	Trace int64  // with Reported: the end of the trace
}

// EventKind tells events apart.
type EventKind string

// The events.
const (
	Resumed      EventKind = "resumed"       // the record was just taken, or read from the state file
	HostMade     EventKind = "host made"     // or found by its name
	HostPrepared EventKind = "host prepared" // it can be pushed to
	HandedOver   EventKind = "handed over"
	Started      EventKind = "started"       // the host was heard of
	LaunchFailed EventKind = "launch failed" // for good: no more attempts
	Canceled     EventKind = "canceled"      // the coordinator waits for the word
	Ended        EventKind = "ended"         // the coordinator is done with the job
	Reported     EventKind = "reported"      // the coordinator knows of the failure
	HostGone     EventKind = "host gone"     // by its ID, and nothing bears its name
)

// Action is what is to be done next for a job. Each can be repeated when
// nobody knows whether it was done.
type Action string

// The actions.
const (
	Nothing  Action = ""
	MakeHost Action = "make host" // find it by its name, or ask for one
	Prepare  Action = "prepare"   // environment, and the place to push to
	HandOver Action = "hand over" // accept the job, and push unless that was done
	AwaitRun Action = "await run" // until the host is heard of
	Observe  Action = "observe"   // until the coordinator is done with the job
	Report   Action = "report"    // the failure
	Remove   Action = "remove"    // the host, by ID and by name
	Forget   Action = "forget"    // nothing is left
)

// Step says what a job becomes by an event, and what is to be done then. The
// record that it returns has to be written before that action is begun, and the
// action of an earlier step has to have ended: so whatever was perhaps done is
// in the phase, and Resumed goes on from a record alone. An event that a phase
// does not expect, because it is late, changes nothing.
func Step(r Record, e Event) (Record, Action) {
	switch e.Kind {
	case Resumed:
		if r.Phase == Acquired {
			r.Phase = Creating
		}
		return r, due(r)
	case Ended, Canceled, LaunchFailed:
		return end(r, e)
	}
	switch {
	case e.Kind == HostMade && r.Phase == Creating && e.Host != nil:
		host := *e.Host
		r.Host, r.Phase = &host, Created
	case e.Kind == HostPrepared && r.Phase == Created:
		if e.Host != nil {
			host := *e.Host
			r.Host = &host
		}
		r.Phase = Pushing
	case e.Kind == HandedOver && r.Phase == Pushing:
		r = launched(r, Pushed)
	case e.Kind == Started && (r.Phase == Pushing || r.Phase == Pushed):
		r = launched(r, Running)
		r.Payload = Secret{}
	case e.Kind == Reported && r.Phase == Failing:
		r.Phase, r.TraceOffset = Deleting, e.Trace
	case e.Kind == HostGone && r.Phase == Deleting:
		r.Phase = Gone
	default:
		return r, Nothing
	}
	return r, due(r)
}

// end is for what can happen at any time: that there is no more reason for a host.
func end(r Record, e Event) (Record, Action) {
	over := r.Phase == Deleting || r.Phase == Gone
	switch {
	case over || r.Phase == Failing && e.Kind != Ended:
		return r, Nothing
	case e.Kind == Canceled && (r.Phase == Running || r.Phase == Pushed):
		return r, Nothing // the host hears of it and says the word itself
	case e.Kind == LaunchFailed && !r.Phase.Provisioning():
		return r, Nothing
	case e.Kind == Ended:
		r.Phase = Deleting
	case e.Kind == Canceled:
		r.Phase, r.Failure = Failing, canceled
	default:
		r.Phase, r.Failure = Failing, e.Text
	}
	r.Payload = Secret{}
	return r, due(r)
}

// canceled is what the author of a canceled job reads.
const canceled = "The job was canceled before it started."

func launched(r Record, to Phase) Record {
	host := *r.Host // never change what others hold
	host.Launched = true
	r.Host, r.Phase = &host, to
	return r
}

// due is what a phase is there for.
func due(r Record) Action {
	switch r.Phase {
	case Acquired, Creating:
		return MakeHost
	case Created:
		return Prepare
	case Pushing:
		return HandOver
	case Pushed:
		return AwaitRun
	case Running:
		return Observe
	case Failing:
		return Report
	case Deleting:
		return Remove
	case Gone:
		return Forget
	}
	return Nothing
}

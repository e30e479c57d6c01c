package paas

// Phase is how far a job is. A phase says what may have happened already: it is
// written before its first action is taken.
type Phase string

// The phases, in their order.
const (
	Acquired Phase = "acquired" // the job is ours, no host was asked for
	Creating Phase = "creating" // a host was perhaps asked for
	Created  Phase = "created"  // the host is known; it is being prepared
	Pushing  Phase = "pushing"  // the job was perhaps handed over
	Pushed   Phase = "pushed"   // the job was handed over and is not seen to run
	Running  Phase = "running"  // the host runs the job and answers for it
	Failing  Phase = "failing"  // the coordinator is to be told that the job failed
	Deleting Phase = "deleting" // the coordinator is done with the job; the host is to go
	Gone     Phase = "gone"     // nothing is left; the record goes
)

// known reports whether a phase can stand in a state file.
func (p Phase) known() bool {
	switch p {
	case Acquired, Creating, Created, Pushing, Pushed, Running, Failing, Deleting:
		return true
	}
	return false
}

// Provisioning reports whether the job counts as a host in the making.
func (p Phase) Provisioning() bool {
	switch p {
	case Acquired, Creating, Created, Pushing, Pushed:
		return true
	}
	return false
}

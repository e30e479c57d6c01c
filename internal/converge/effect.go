package converge

// Effect is what an operation does to the number of things that there are, as
// a plan counts them.
type Effect string

// The effects.
const (
	EffectNone   Effect = ""       // it prepares or follows another operation
	EffectAdd    Effect = "add"    // something is there that was not
	EffectChange Effect = "change" // something is another one than before
	EffectRemove Effect = "remove" // something is gone
)

// Effect is what the operation does.
func (o Operation) Effect() Effect {
	switch o.Kind {
	case CreateNetwork, CreateVolume, CreateContainer, PullImage:
		return EffectAdd
	case RemoveNetwork, RemoveVolume, RemoveContainer:
		return EffectRemove
	case StartContainer, RenameContainer, ConnectNetwork, RunInContainer:
		return EffectChange
	case WriteFile:
		if o.NewFile {
			return EffectAdd
		}
		return EffectChange
	case RunTask:
		if o.Task != nil && o.Task.Effect != EffectNone {
			return o.Task.Effect
		}
		return EffectChange
	}
	return EffectNone
}

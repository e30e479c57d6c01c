package converge

// Allow is what somebody has agreed to and Up and Down refuse otherwise.
type Allow struct {
	// RemoveOrphans removes the containers of services that are not described.
	RemoveOrphans bool
	// NewData begins anew in an empty data directory, though the stack has
	// data in another one.
	NewData bool
	// Renamed takes over a data directory, and containers, of another stack or
	// forge: they are this one's under its old name.
	Renamed bool
}

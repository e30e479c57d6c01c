package heptapodcontainer

// WithPorts lets a test pick the ports that the forge tries, http, ssh and
// registry. Each attempt asks once.
func WithPorts(pick func(n int) ([]int, error)) Option {
	return func(s *settings) error {
		s.pick = pick
		return nil
	}
}

// FreePorts are what is picked without WithPorts.
var FreePorts = freePorts

package heptapodtest

// Patterns are the routes that a forge serves, beside the hg and git protocols
// and the registry's tokens.
func (s *Server) Patterns() []string { return s.patterns }

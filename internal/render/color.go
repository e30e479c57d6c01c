package render

// palette paints text when colours are welcome.
type palette bool

func (p palette) wrap(code, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p palette) good(s string) string   { return p.wrap("32", s) }
func (p palette) bad(s string) string    { return p.wrap("31", s) }
func (p palette) change(s string) string { return p.wrap("33", s) }
func (p palette) accent(s string) string { return p.wrap("36", s) }
func (p palette) dim(s string) string    { return p.wrap("2", s) }
func (p palette) strong(s string) string { return p.wrap("1", s) }

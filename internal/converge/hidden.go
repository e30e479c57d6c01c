package converge

import "strings"

const (
	dots = "..."
	// The pieces of a hidden text that are looked for beside dots have so many
	// bytes.
	shortestPiece = 3
	longestPiece  = 200
)

// Hidden is what the programs of c say, without what nobody is to read. Ruby
// shortens long lines that it quotes: what is left of such a text before or
// after dots is hidden, too.
func (c *Container) Hidden(text string) string {
	var pairs []string
	for _, h := range c.Hide {
		pairs = append(pairs, h, "***")
	}
	if strings.Contains(text, dots) {
		for _, h := range c.Hide {
			for n := min(len(h)-1, longestPiece); n >= shortestPiece; n-- {
				pairs = append(pairs, dots+h[len(h)-n:], dots+"***", h[:n]+dots, "***"+dots)
			}
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

package render

import (
	"strconv"
	"strings"
	"sync"
)

// screen is as much of a terminal as the live region uses: printing with
// wrapping, carriage return, newline, cursor up, erase below, cursor shown or
// hidden. Resizing breaks lines anew as common terminals do.
type screen struct {
	mu       sync.Mutex
	w, h     int
	lines    [][]rune // logical rows of at most w columns
	wrapped  []bool   // row i goes on in row i+1
	row, col int
	hidden   bool
	strange  []string // sequences that it does not know
}

func newScreen(w, h int) *screen {
	return &screen{w: w, h: h, lines: [][]rune{nil}, wrapped: []bool{false}}
}

func (s *screen) size() (int, int) { return s.w, s.h }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := []rune(string(p))
	for i := 0; i < len(text); i++ {
		switch r := text[i]; r {
		case '\r':
			s.col = 0
		case '\n':
			s.wrapped[s.row] = false
			s.down()
		case '\x1b':
			end := i + 2
			for end < len(text) && (text[end] < '@' || text[end] > '~') {
				end++
			}
			s.control(string(text[i+2 : end+1]))
			i = end
		default:
			s.put(r)
		}
	}
	return len(p), nil
}

func (s *screen) put(r rune) {
	if s.col == s.w {
		s.wrapped[s.row] = true
		s.down()
	}
	line := s.lines[s.row]
	for len(line) <= s.col {
		line = append(line, ' ')
	}
	line[s.col] = r
	s.lines[s.row] = line
	s.col++
}

func (s *screen) down() {
	s.row++
	s.col = 0
	if s.row == len(s.lines) {
		s.lines = append(s.lines, nil)
		s.wrapped = append(s.wrapped, false)
	}
}

func (s *screen) control(seq string) {
	switch {
	case seq == "?25l":
		s.hidden = true
	case seq == "?25h":
		s.hidden = false
	case seq == "J":
		s.lines, s.wrapped = s.lines[:s.row+1], s.wrapped[:s.row+1]
		s.lines[s.row] = s.lines[s.row][:min(s.col, len(s.lines[s.row]))]
		s.wrapped[s.row] = false
	case strings.HasSuffix(seq, "A"):
		n, _ := strconv.Atoi(strings.TrimSuffix(seq, "A"))
		// A cursor does not leave the screen at its top.
		s.row = max(s.row-n, max(0, len(s.lines)-s.h))
	case strings.HasSuffix(seq, "m"):
	default:
		s.strange = append(s.strange, seq)
	}
}

// resize makes the screen w columns wide.
func (s *screen) resize(w int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines [][]rune
	var wrapped []bool
	for i := 0; i < len(s.lines); i++ {
		whole := append([]rune(nil), s.lines[i]...)
		for s.wrapped[i] {
			i++
			whole = append(whole, s.lines[i]...)
		}
		for len(whole) > w {
			lines, wrapped = append(lines, whole[:w]), append(wrapped, true)
			whole = whole[w:]
		}
		lines, wrapped = append(lines, whole), append(wrapped, false)
	}
	s.lines, s.wrapped, s.w = lines, wrapped, w
	s.row, s.col = len(lines)-1, len(lines[len(lines)-1])
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for i, l := range s.lines {
		b.WriteString(strings.TrimRight(string(l), " "))
		if i < len(s.lines)-1 && !s.wrapped[i] {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// Package spelling finds what somebody meant to write.
package spelling

import "strings"

// Nearest is the candidate that a slip of the fingers could have meant, or else
// the first that the key is short for, "" when there is neither.
func Nearest(key string, candidates []string) string {
	best, distance := "", len(key)/3+1
	if distance > 3 {
		distance = 3
	}
	if len(key) > 40 {
		return ""
	}
	for _, c := range candidates {
		if d := slips(key, c); d < distance || d == distance && best == "" {
			best, distance = c, d
		}
	}
	for _, c := range candidates {
		if best == "" && len(key) >= 3 && strings.HasPrefix(c, key) {
			best = c
		}
	}
	return best
}

// slips counts insertions, deletions, replacements and swaps of neighbours.
func slips(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

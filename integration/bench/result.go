package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// result is one measured number: a ratio of two medians, or a value with
// nothing to compare it with.
type result struct {
	Name  string
	Value float64 // hepta ÷ compose where there is a peer
	Aim   float64 // the value is to be at most this; 0: no aim
	Least bool    // the aim is to be reached or exceeded
	Ratio bool
	By    string // who is measured; default hepta
	With  string // the peer; default compose
	Hepta spread // in milliseconds
	Peer  spread
}

// spread is what a number of samples have in common.
type spread struct {
	N                   int
	Median, Least, Most float64
}

func ratioOf(name string, aim float64, ours, theirs []time.Duration) result {
	a, b := spreadOf(ours), spreadOf(theirs)
	return result{Name: name, Value: a.Median / b.Median, Aim: aim, Ratio: true, Hepta: a, Peer: b}
}

func spreadOf(samples []time.Duration) spread {
	if len(samples) == 0 {
		return spread{Median: math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(samples))
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	middle := len(sorted) / 2
	median := ms(sorted[middle])
	if len(sorted)%2 == 0 {
		median = (ms(sorted[middle-1]) + median) / 2
	}
	return spread{N: len(sorted), Median: median, Least: ms(sorted[0]), Most: ms(sorted[len(sorted)-1])}
}

// met reports whether the aim is reached.
func (r result) met() bool {
	if r.Least {
		return r.Value >= r.Aim
	}
	return r.Aim == 0 || r.Value <= r.Aim
}

// sign is how the value is to be compared with the aim.
func (r result) sign() string {
	if r.Least {
		return "≥"
	}
	return "≤"
}

func (r result) verdict() string {
	switch {
	case r.Aim == 0:
		return ""
	case r.met():
		return "ok"
	}
	return "missed"
}

func (r result) line() string {
	if !r.Ratio {
		return strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Name, number(r.Value), r.verdict()))
	}
	aim := "no aim"
	if r.Aim > 0 {
		aim = fmt.Sprintf("aim %s, %s", number(r.Aim), r.verdict())
	}
	return fmt.Sprintf("%s %s (%s): %s, %s %s", r.Name, number(r.Value), aim, r.Hepta, cmp.Or(r.With, "compose"), r.Peer)
}

func (s spread) String() string {
	if s.N == 0 {
		return ""
	}
	return fmt.Sprintf("%s ms (%s … %s)", number(s.Median), number(s.Least), number(s.Most))
}

// number has three digits that count.
func number(f float64) string {
	digits := 0
	if f != 0 && !math.IsNaN(f) && !math.IsInf(f, 0) {
		digits = max(0, 2-int(math.Floor(math.Log10(math.Abs(f)))))
	}
	return fmt.Sprintf("%.*f", digits, f)
}

// report is everything that was measured.
type report struct {
	About   []string // machine, engines, transport
	Results []result
}

// table writes the report for people.
func (r report) table(w io.Writer) error {
	for _, line := range r.About {
		fmt.Fprintln(w, line)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nMEASURE\tVALUE\tAIM\t\tHEPTA\tCOMPOSE\tN")
	for _, one := range r.Results {
		aim, n := "", ""
		if one.Aim > 0 {
			aim = one.sign() + " " + number(one.Aim)
		}
		if one.Hepta.N > 0 {
			n = fmt.Sprint(one.Hepta.N)
		}
		ours, theirs := one.Hepta.String(), one.Peer.String()
		if one.With != "" {
			ours, theirs = one.By+" "+ours, one.With+" "+theirs
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", one.Name, number(one.Value), aim, one.verdict(), ours, theirs, n)
	}
	return t.Flush()
}

// json writes the report as one object on one line: ratios by measure, the
// medians behind them by measure and program, and the values without a peer.
func (r report) json(w io.Writer) error {
	out := struct {
		Ratios  map[string]float64            `json:"ratios"`
		Medians map[string]map[string]float64 `json:"medians_ms"`
		Values  map[string]float64            `json:"values"`
		About   []string                      `json:"about"`
	}{map[string]float64{}, map[string]map[string]float64{}, map[string]float64{}, r.About}
	for _, one := range r.Results {
		if !one.Ratio {
			out.Values[one.Name] = rounded(one.Value)
			continue
		}
		out.Ratios[one.Name] = rounded(one.Value)
		out.Medians[one.Name] = map[string]float64{cmp.Or(one.By, "hepta"): rounded(one.Hepta.Median), cmp.Or(one.With, "compose"): rounded(one.Peer.Median)}
	}
	return json.NewEncoder(w).Encode(out)
}

func rounded(f float64) float64 { return math.Round(f*10000) / 10000 }

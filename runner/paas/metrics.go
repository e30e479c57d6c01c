package paas

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// counts are the numbers for Prometheus that are not in the gate.
type counts struct {
	mu      sync.Mutex
	totals  map[[2]string]int // by name and runner
	gauges  map[[2]string]int
	launch  map[string]time.Duration // sum, by runner
	launchN map[string]int
	undone  map[Key]int // failed attempts to remove a host
}

func newCounts() *counts {
	return &counts{
		totals: map[[2]string]int{}, gauges: map[[2]string]int{}, launch: map[string]time.Duration{}, launchN: map[string]int{}, undone: map[Key]int{},
	}
}

func (c *counts) add(runner, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.totals[[2]string{what, runner}]++
}

func (c *counts) set(runner, what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gauges[[2]string{what, runner}] = n
}

// took counts a launch.
func (c *counts) took(runner string, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.launch[runner] += d
	c.launchN[runner]++
}

// overdue tells how often the removal of a job's host has failed.
func (c *counts) overdue(k Key) func(failures int) {
	return func(failures int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.undone[k] = failures; failures == 0 {
			delete(c.undone, k)
		}
	}
}

// help says what each number is.
var help = map[string]string{
	"jobs": "Jobs taken.", "jobs_done": "Jobs of which nothing is left.", "failed_launches": "Jobs that were failed or canceled before their host ran.",
	"poll_errors": "Requests for a job that failed.", "call_errors": "Other calls to forges and providers that failed.",
	"orphans_removed": "Hosts that belonged to nobody and were removed.", "orphans": "Hosts that belong to nobody at the last look.",
}

// WriteMetrics writes the manager's numbers in the text format of Prometheus.
// Before Run there are none.
func (m *Manager) WriteMetrics(w io.Writer) error {
	var b strings.Builder
	head := func(name, kind, text string) {
		fmt.Fprintf(&b, "# HELP hepta_paas_%s %s\n# TYPE hepta_paas_%s %s\n", name, text, name, kind)
	}
	m.mu.Lock()
	g, c := m.gate, m.counts
	names := map[string]string{}
	for short, l := range m.lanes {
		names[short] = l.Name
	}
	m.mu.Unlock()
	if g == nil {
		return nil
	}
	s := g.statistics()
	gauge := func(name, text string, value float64) {
		head(name, "gauge", text)
		fmt.Fprintf(&b, "hepta_paas_%s %s\n", name, strconv.FormatFloat(value, 'g', -1, 64))
	}
	gauge("concurrent", "Jobs at once that are allowed.", float64(s.MaxConcurrent))
	gauge("weight", "Weight of all hosts.", s.Weight)
	gauge("weight_quota", "Weight that is allowed, 0 without a quota.", s.WeightQuota)
	head("current_jobs", "gauge", "Jobs by phase.")
	phases := g.phases()
	for _, short := range slices.Sorted(maps.Keys(phases)) {
		for _, phase := range slices.Sorted(maps.Keys(phases[short])) {
			fmt.Fprintf(&b, "hepta_paas_current_jobs{runner=%s,phase=%q} %d\n", label(names[short]), phase, phases[short][phase])
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	gauge("removals_failing", "Jobs whose host could not be removed at the last attempt.", float64(len(c.undone)))
	c.family(&b, head, c.totals, "counter", "_total")
	c.family(&b, head, c.gauges, "gauge", "")
	head("launch_seconds", "summary", "From taking a job to its start.")
	for _, runner := range slices.Sorted(maps.Keys(c.launch)) {
		fmt.Fprintf(&b, "hepta_paas_launch_seconds_sum{runner=%[1]s} %[2]g\nhepta_paas_launch_seconds_count{runner=%[1]s} %[3]d\n",
			label(runner), c.launch[runner].Seconds(), c.launchN[runner])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *counts) family(b *strings.Builder, head func(name, kind, text string), numbers map[[2]string]int, kind, suffix string) {
	last := ""
	keys := slices.SortedFunc(maps.Keys(numbers), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	for _, k := range keys {
		if k[0] != last {
			last = k[0]
			head(last+suffix, kind, help[last])
		}
		fmt.Fprintf(b, "hepta_paas_%s%s{runner=%s} %d\n", last, suffix, label(k[1]), numbers[k])
	}
}

// label quotes a value as the text format wants it.
func label(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text) + `"`
}

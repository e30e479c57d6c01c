// Package flow is the state machine of a pipeline. It computes only.
package flow

// Job is what the machine needs to know of a job. Of jobs with one name only
// the latest belongs here.
type Job struct {
	Name         string
	Stage        int
	Status       string
	When         string // on_success, on_failure, always, manual, delayed
	AllowFailure bool
	Needs        []Need
	DAG          bool // needs was written, even if empty
}

// Need is a job that has to be over first.
type Need struct {
	Job      string
	Optional bool
}

// Labels that only exist inside a composite: a failure that is allowed, a
// manual job that nobody has to start.
const (
	warn    = "warn"
	ignored = "ignored"
)

// label is a job's contribution to a composite: failed or canceled with
// allow_failure → warn, manual with allow_failure → ignored, else its status.
func label(j Job) string {
	switch {
	case j.AllowFailure && (j.Status == "failed" || j.Status == "canceled"):
		return warn
	case j.AllowFailure && j.Status == "manual":
		return ignored
	}
	return j.Status
}

// Composite is the one status of a set of jobs; "" for an empty set. It looks
// only at the set of labels; the first rule that fits decides.
func Composite(jobs []Job, dag bool) string {
	if len(jobs) == 0 {
		return ""
	}
	set := map[string]bool{}
	for _, j := range jobs {
		set[label(j)] = true
	}
	only := func(labels ...string) bool {
		n := 0
		for _, l := range labels {
			if set[l] {
				n++
			}
		}
		return n == len(set)
	}
	switch {
	case dag && (set["skipped"] || set[ignored]):
		return "skipped"
	case dag && !only("success", "failed", "canceled", "skipped", warn):
		return "pending"
	case only("skipped", ignored):
		return "skipped"
	case only("success", "skipped", warn, ignored):
		return "success"
	case only("created", warn, ignored):
		return "created"
	case only("preparing", warn, ignored):
		return "preparing"
	case only("canceled", "success", "skipped", warn, ignored):
		return "canceled"
	case only("pending", "created", "skipped", warn, ignored):
		return "pending"
	case set["running"], set["pending"]:
		return "running"
	case set["waiting_for_resource"]:
		return "waiting_for_resource"
	case set["manual"]:
		return "manual"
	case set["scheduled"]:
		return "scheduled"
	case set["preparing"]:
		return "preparing"
	case set["created"]:
		return "running"
	case set["canceling"]:
		return "canceling"
	}
	return "failed"
}

// Enter is the status that a pipeline has after the composite of its jobs
// became next. One that has begun runs again when a job waits once more.
func Enter(now, next string) string {
	if next == "pending" {
		switch now {
		case "running", "success", "failed", "canceling", "canceled":
			return "running"
		}
	}
	return next
}

// complete reports whether followers in later stages may be decided. A blocking
// manual job is not complete: later stages stay created.
func complete(status string) bool {
	switch status {
	case "success", "failed", "canceled", "skipped":
		return true
	}
	return false
}

// Advance decides every created job that can be decided, and then those that
// follow from it. It changes the statuses in jobs and returns the indexes of
// the jobs that changed.
func Advance(jobs []Job) []int {
	var changed []int
	for again := true; again; {
		again = false
		for i := range jobs {
			if jobs[i].Status != "created" {
				continue
			}
			if next := decide(jobs, jobs[i]); next != "" {
				jobs[i].Status = next
				changed = append(changed, i)
				again = true
			}
		}
	}
	return changed
}

// decide returns the status that a created job enters, "" to wait.
func decide(jobs []Job, j Job) string {
	before := before(jobs, j)
	c := Composite(before, j.DAG)
	switch {
	case c == "":
		c = "success" // no predecessors count as success
	case !complete(c):
		return ""
	}
	good := c == "success" || c == "skipped" && !j.DAG
	switch j.When {
	case "always":
		if c == "success" || c == "failed" || c == "skipped" {
			return "pending"
		}
	case "on_failure":
		if c == "failed" {
			return "pending"
		}
	case "manual":
		if good {
			return "manual"
		}
	case "delayed":
		if good {
			return "scheduled"
		}
	default:
		if good {
			return "pending"
		}
	}
	return "skipped"
}

// before returns what j waits for: the needed jobs, or all jobs of earlier stages.
// A need that is not in the pipeline (an optional one) is not waited for.
func before(jobs []Job, j Job) []Job {
	var set []Job
	for _, p := range jobs {
		if j.DAG {
			for _, n := range j.Needs {
				if n.Job == p.Name || isPart(p.Name, n.Job) {
					set = append(set, p)
				}
			}
		} else if p.Stage < j.Stage {
			set = append(set, p)
		}
	}
	return set
}

// isPart reports whether name is one of the jobs that parallel made of the job
// base: "base 1/3" or "base: [a, b]". A need on such a job waits for all.
func isPart(name, base string) bool {
	if len(name) <= len(base) || name[:len(base)] != base {
		return false
	}
	rest := name[len(base):]
	if len(rest) > 3 && rest[:3] == ": [" && rest[len(rest)-1] == ']' {
		return true
	}
	if rest[0] != ' ' {
		return false
	}
	slash := false
	for i, c := range rest[1:] {
		switch {
		case c >= '0' && c <= '9':
		case c == '/' && !slash && i > 0:
			slash = true
		default:
			return false
		}
	}
	return slash
}

// Reopen returns the indexes of skipped jobs that have to be decided again
// because the job of that name is played or run again: its followers by stage
// and by need, and theirs.
func Reopen(jobs []Job, name string) []int {
	seen := make([]bool, len(jobs))
	queue := []int{}
	for i, j := range jobs {
		if j.Name == name {
			queue = append(queue, i)
		}
	}
	var out []int
	for len(queue) > 0 {
		from := jobs[queue[0]]
		queue = queue[1:]
		for i, j := range jobs {
			if seen[i] || j.Status != "skipped" || !follows(j, from) {
				continue
			}
			seen[i] = true
			out = append(out, i)
			queue = append(queue, i)
		}
	}
	return out
}

func follows(j, from Job) bool {
	if !j.DAG {
		return j.Stage > from.Stage
	}
	for _, n := range j.Needs {
		if n.Job == from.Name || isPart(from.Name, n.Job) {
			return true
		}
	}
	return false
}

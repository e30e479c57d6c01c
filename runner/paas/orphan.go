package paas

import "time"

// Sighting is a host that a provider lists, and since when it has been seen
// with nobody to claim it.
type Sighting struct {
	Host
	Since time.Time
}

// Sweep says which of the hosts that a provider lists nobody claims: they bear
// a name of the runner, and no record has the job, or the record has another
// host. Such a host is removed only after it was seen for a grace period and
// only when over says that its job does not run: a lost state file is no reason
// to end a job. seen is what the pass before returned; at most limit hosts go
// in one pass.
func Sweep(short string, hosts []Host, records []Record, seen map[string]Sighting, now time.Time, grace time.Duration, limit int, over func(job int64) bool) (remove []Host, orphans map[string]Sighting) {
	claimed := map[int64]Record{}
	for _, r := range records {
		if r.Runner == short {
			claimed[r.Job] = r
		}
	}
	orphans = map[string]Sighting{}
	for _, h := range hosts {
		job, ok := JobOf(short, h.Name)
		if !ok {
			continue
		}
		// A record without a host will find this one by its name.
		if r, there := claimed[job]; there && (r.Host == nil || r.Host.ID == h.ID) {
			continue
		}
		s := Sighting{Host: h, Since: now}
		if before, known := seen[h.ID]; known {
			s.Since = before.Since
		}
		if now.Sub(s.Since) >= grace && len(remove) < limit {
			// The host of a record that has another one never got the job.
			if _, there := claimed[job]; there || over(job) {
				remove = append(remove, h)
				continue
			}
		}
		orphans[h.ID] = s
	}
	return remove, orphans
}

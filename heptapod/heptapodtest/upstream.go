package heptapodtest

import (
	"slices"
	"strconv"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
	"github.com/heptaup/hepta/internal/ci"
)

// findUpstream finds the jobs of other pipelines whose artifacts a job gets by
// needs:pipeline:job, and reports whether all are there: succeeded, in a pipeline
// of the same project that goes back to the same one.
func (s *Server) findUpstream(tx *store.Tx, c *claimed) bool {
	if len(c.spec.Upstream) == 0 {
		return true
	}
	known := map[string]string{}
	for _, v := range s.variables(c) {
		known[v.Key] = v.Value
	}
	get := func(name string) (string, bool) { v, ok := known[name]; return v, ok }
	family := ancestor(tx, c.pipeline)
	for _, n := range c.spec.Upstream {
		id, err := strconv.ParseInt(ci.ExpandFully(n.Pipeline, get), 10, 64)
		other := tx.Pipelines.Get(id)
		if err != nil || other == nil || other.ProjectID != c.project.ID || ancestor(tx, other).ID != family.ID {
			return false
		}
		jobs := latest(tx, other.ID)
		i := slices.IndexFunc(jobs, func(j *store.Job) bool { return j.Name == n.Job && j.Status == store.Success })
		if i < 0 {
			return false
		}
		if n.Artifacts {
			c.upstream = append(c.upstream, jobs[i])
		}
	}
	return true
}

// ancestor is the pipeline that a chain of child pipelines began with.
func ancestor(tx *store.Tx, pl *store.Pipeline) *store.Pipeline {
	for pl.Source == sourceParent {
		up := tx.Pipelines.Get(jobPipeline(tx, pl.BridgeID))
		if up == nil {
			break
		}
		pl = up
	}
	return pl
}

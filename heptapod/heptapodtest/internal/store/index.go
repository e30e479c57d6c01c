package store

import (
	"bytes"
	"strings"
)

// entry is one line of an index: a unique name of a record, or with many set a
// member of a list.
type entry struct {
	kind string
	name string // unique entries
	id   int64

	many   bool
	parent int64 // list entries
}

func (e entry) key() []byte {
	if e.many {
		return append(append([]byte(e.kind+"\x00"), key(e.parent)...), key(e.id)...)
	}
	return []byte(e.kind + "\x00" + e.name)
}

func (tx *Tx) reindex(before, after []entry) {
	names, lists := tx.bolt.Bucket([]byte("index")), tx.bolt.Bucket([]byte("children"))
	keep := make(map[string]bool, len(after))
	for _, e := range after {
		keep[string(e.key())] = true
	}
	for _, e := range before {
		switch {
		case keep[string(e.key())]:
		case e.many:
			tx.fail(lists.Delete(e.key()))
		default:
			tx.fail(names.Delete(e.key()))
		}
	}
	for _, e := range after {
		tx.queued = tx.queued || e.kind == pendingJobs
		if e.many {
			tx.fail(lists.Put(e.key(), []byte{}))
		} else {
			tx.fail(names.Put(e.key(), key(e.id)))
		}
	}
}

func (tx *Tx) named(kind, name string) int64 {
	if v := tx.bolt.Bucket([]byte("index")).Get([]byte(kind + "\x00" + name)); v != nil {
		return unkey(v)
	}
	return 0
}

func (tx *Tx) listed(kind string, parent int64) []int64 {
	var ids []int64
	prefix := append([]byte(kind+"\x00"), key(parent)...)
	c := tx.bolt.Bucket([]byte("children")).Cursor()
	for k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		ids = append(ids, unkey(k[len(prefix):]))
	}
	return ids
}

func collect[T any](t Table[T], ids []int64) []*T {
	all := make([]*T, 0, len(ids))
	for _, id := range ids {
		if r := t.Get(id); r != nil {
			all = append(all, r)
		}
	}
	return all
}

func indexUser(u *User) []entry {
	return []entry{{kind: "user", name: strings.ToLower(u.Username), id: u.ID}}
}

func indexToken(t *Token) []entry {
	return []entry{{kind: "token", name: t.Hash, id: t.ID}, {kind: "user-tokens", parent: t.UserID, id: t.ID, many: true}}
}

func indexDeployToken(t *DeployToken) []entry {
	return []entry{{kind: "deploy-token", name: t.Hash, id: t.ID}, {kind: "project-deploy-tokens", parent: t.ProjectID, id: t.ID, many: true}}
}

func indexKey(k *SSHKey) []entry {
	return []entry{{kind: "key", name: k.Fingerprint, id: k.ID}, {kind: "user-keys", parent: k.UserID, id: k.ID, many: true}}
}

func indexGroup(g *Group) []entry {
	return []entry{{kind: "group", name: strings.ToLower(g.Path), id: g.ID}}
}

func indexProject(p *Project) []entry {
	return []entry{{kind: "project", name: strings.ToLower(p.Path), id: p.ID}}
}

func indexRunner(r *Runner) []entry {
	return []entry{{kind: "runner", name: r.TokenHash, id: r.ID}}
}

func indexManager(m *Manager) []entry {
	return []entry{{kind: "manager", name: managerName(m.RunnerID, m.SystemID), id: m.ID}, {kind: "runner-managers", parent: m.RunnerID, id: m.ID, many: true}}
}

func managerName(runner int64, system string) string { return string(key(runner)) + system }

func indexPipeline(p *Pipeline) []entry {
	e := []entry{{kind: "project-pipelines", parent: p.ProjectID, id: p.ID, many: true}}
	if !Finished(p.Status) {
		e = append(e, entry{kind: "open-pipelines", id: p.ID, many: true})
	}
	return e
}

const pendingJobs = "pending"

func indexJob(j *Job) []entry {
	e := []entry{
		{kind: "pipeline-jobs", parent: j.PipelineID, id: j.ID, many: true},
		{kind: "project-jobs", parent: j.ProjectID, id: j.ID, many: true},
	}
	if j.RunnerID != 0 {
		e = append(e, entry{kind: "runner-jobs", parent: j.RunnerID, id: j.ID, many: true})
	}
	switch {
	case j.Bridge && j.Status == Pending:
		return append(e, entry{kind: "pending-bridges", id: j.ID, many: true})
	case j.Bridge && j.Status != Scheduled:
		return e
	}
	switch j.Status {
	case Pending:
		e = append(e, entry{kind: pendingJobs, id: j.ID, many: true})
	case Scheduled:
		e = append(e, entry{kind: "scheduled", id: j.ID, many: true})
	case Running, Canceling:
		e = append(e, entry{kind: "live", id: j.ID, many: true})
		if j.TokenHash != "" {
			e = append(e, entry{kind: "job-token", name: j.TokenHash, id: j.ID})
		}
	}
	return e
}

package store

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"iter"
	"strings"
)

// User returns the user of that name, whatever its case; nil when there is none.
func (tx *Tx) User(name string) *User { return tx.Users.Get(tx.named("user", strings.ToLower(name))) }

// Token returns the personal access token of that hash, also a dead one.
func (tx *Tx) Token(hash string) *Token { return tx.Tokens.Get(tx.named("token", hash)) }

// TokensOf returns the tokens of a user.
func (tx *Tx) TokensOf(user int64) []*Token {
	return collect(tx.Tokens, tx.listed("user-tokens", user))
}

// DeployToken returns the deploy token with that hash.
func (tx *Tx) DeployToken(hash string) *DeployToken {
	return tx.DeployTokens.Get(tx.named("deploy-token", hash))
}

// DeployTokensOf returns the deploy tokens of a project.
func (tx *Tx) DeployTokensOf(project int64) []*DeployToken {
	return collect(tx.DeployTokens, tx.listed("project-deploy-tokens", project))
}

// Key returns the ssh key of that fingerprint.
func (tx *Tx) Key(fingerprint string) *SSHKey { return tx.Keys.Get(tx.named("key", fingerprint)) }

// KeysOf returns the ssh keys of a user.
func (tx *Tx) KeysOf(user int64) []*SSHKey { return collect(tx.Keys, tx.listed("user-keys", user)) }

// Group returns the namespace of that full path, whatever its case.
func (tx *Tx) Group(path string) *Group {
	return tx.Groups.Get(tx.named("group", strings.ToLower(path)))
}

// Project returns the project of that full path, whatever its case.
func (tx *Tx) Project(path string) *Project {
	return tx.Projects.Get(tx.named("project", strings.ToLower(path)))
}

// Runner returns the runner of that token hash.
func (tx *Tx) Runner(hash string) *Runner { return tx.Runners.Get(tx.named("runner", hash)) }

// Manager returns the machine of that system id that uses the runner.
func (tx *Tx) Manager(runner int64, system string) *Manager {
	return tx.Managers.Get(tx.named("manager", managerName(runner, system)))
}

// ManagersOf returns the machines that use a runner.
func (tx *Tx) ManagersOf(runner int64) []*Manager {
	return collect(tx.Managers, tx.listed("runner-managers", runner))
}

// PipelinesOf returns the pipelines of a project, oldest first.
func (tx *Tx) PipelinesOf(project int64) []*Pipeline {
	return collect(tx.Pipelines, tx.listed("project-pipelines", project))
}

// OpenPipelines returns the pipelines that are not finished, oldest first.
func (tx *Tx) OpenPipelines() []*Pipeline {
	return collect(tx.Pipelines, tx.listed("open-pipelines", 0))
}

// JobsOf returns all jobs of a pipeline, retried ones included, oldest first.
func (tx *Tx) JobsOf(pipeline int64) []*Job {
	return collect(tx.Jobs, tx.listed("pipeline-jobs", pipeline))
}

// JobsOfProject returns all jobs of a project, oldest first.
func (tx *Tx) JobsOfProject(project int64) []*Job {
	return collect(tx.Jobs, tx.listed("project-jobs", project))
}

// JobsOfRunner returns all jobs that a runner took, oldest first.
func (tx *Tx) JobsOfRunner(runner int64) []*Job {
	return collect(tx.Jobs, tx.listed("runner-jobs", runner))
}

// PendingJobs returns the jobs that wait for a runner, oldest first.
func (tx *Tx) PendingJobs() iter.Seq[*Job] {
	return func(yield func(*Job) bool) {
		for _, id := range tx.listed(pendingJobs, 0) {
			if j := tx.Jobs.Get(id); j != nil && !yield(j) {
				return
			}
		}
	}
}

// PendingBridges returns the jobs that are to make a pipeline, oldest first.
func (tx *Tx) PendingBridges() []*Job { return collect(tx.Jobs, tx.listed("pending-bridges", 0)) }

// ScheduledJobs returns the jobs that wait for their time, oldest first.
func (tx *Tx) ScheduledJobs() []*Job { return collect(tx.Jobs, tx.listed("scheduled", 0)) }

// LiveJobs returns the jobs that a runner holds, oldest first.
func (tx *Tx) LiveJobs() []*Job { return collect(tx.Jobs, tx.listed("live", 0)) }

// JobByToken returns the job that a runner holds with that token's hash. A job
// that is over has no token.
func (tx *Tx) JobByToken(hash string) *Job { return tx.Jobs.Get(tx.named("job-token", hash)) }

// Spec reads what a job is to do into spec.
func (tx *Tx) Spec(job int64, spec any) {
	data := tx.bolt.Bucket([]byte("specs")).Get(key(job))
	if data == nil {
		tx.fail(fmt.Errorf("read spec of job %d: none stored", job))
		return
	}
	tx.fail(gob.NewDecoder(bytes.NewReader(data)).Decode(spec))
}

// PutSpec stores what a job is to do.
func (tx *Tx) PutSpec(job int64, spec any) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(spec); err != nil {
		tx.fail(fmt.Errorf("encode spec of job %d: %w", job, err))
		return
	}
	tx.fail(tx.bolt.Bucket([]byte("specs")).Put(key(job), b.Bytes()))
}

// CopySpec gives a job what another one is to do.
func (tx *Tx) CopySpec(from, to int64) {
	b := tx.bolt.Bucket([]byte("specs"))
	tx.fail(b.Put(key(to), bytes.Clone(b.Get(key(from)))))
}

// Heads returns the refs that were last seen in a project's repository.
func (tx *Tx) Heads(project int64) map[string]string {
	heads := map[string]string{}
	if data := tx.bolt.Bucket([]byte("heads")).Get(key(project)); data != nil {
		tx.fail(json.Unmarshal(data, &heads))
	}
	return heads
}

// PutHeads stores the refs that were seen; nil forgets them.
func (tx *Tx) PutHeads(project int64, heads map[string]string) {
	b := tx.bolt.Bucket([]byte("heads"))
	if heads == nil {
		tx.fail(b.Delete(key(project)))
		return
	}
	data, err := json.Marshal(heads)
	tx.fail(err)
	tx.fail(b.Put(key(project), data))
}

// Settings reads the settings of the instance.
func (tx *Tx) Settings() Settings {
	var s Settings
	if data := tx.bolt.Bucket([]byte("settings")).Get([]byte("instance")); data != nil {
		tx.fail(json.Unmarshal(data, &s))
	}
	return s
}

// PutSettings stores the settings of the instance.
func (tx *Tx) PutSettings(s Settings) {
	data, err := json.Marshal(s)
	tx.fail(err)
	tx.fail(tx.bolt.Bucket([]byte("settings")).Put([]byte("instance"), data))
}

// RemoveJob forgets a job and its specification. Its files are the caller's.
func (tx *Tx) RemoveJob(id int64) {
	tx.Jobs.Delete(id)
	tx.fail(tx.bolt.Bucket([]byte("specs")).Delete(key(id)))
}

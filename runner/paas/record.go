package paas

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/heptaup/hepta/internal/secret"
)

// Key tells records apart.
type Key struct {
	Runner string // its short name
	Job    int64
}

func (k Key) String() string { return fmt.Sprint(k.Runner, "/", k.Job) }

// Record is what is remembered of one job, from the moment it was taken until
// nothing is left of it.
type Record struct {
	Key
	Token       Secret // the job's
	Payload     Secret // the job as the coordinator gave it, JSON; empty once it is handed over
	TraceOffset int64  // how much of the trace is ours
	Weight      float64
	Host        *Host // nil: none is known
	Phase       Phase
	Tenant      string // top-level group of the job's project, with many tenants
	Flavor      string
	Failure     string // what the job's author is to read

	extra fields // of other versions
}

// Name is what the host of the job is called.
func (r Record) Name() string { return HostName(r.Runner, r.Job) }

// Host is a host at its provider.
type Host struct {
	ID        string // what the provider calls it
	Name      string // as HostName made it
	DeployURL string // where to push
	Tenant    string
	Weight    float64
	Launched  bool // the job was handed over
	Image     bool // it is an image on an Engine, and its ID all that the state file says

	extra fields // of other versions
}

// fields are those of a JSON object that are not ours. They are kept.
type fields map[string]json.RawMessage

// take moves a field into a value; a missing or null one leaves it alone.
func (f fields) take(name string, into any) error {
	raw, ok := f[name]
	delete(f, name)
	if !ok || string(raw) == "null" {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s has another type", name) // the value may be a secret
	}
	return nil
}

func (f fields) with(known map[string]any) map[string]any {
	out := make(map[string]any, len(f)+len(known))
	for k, v := range f {
		out[k] = v
	}
	maps.Copy(out, known)
	return out
}

// unknownWeight is that of hosts in files that are older than weights.
const unknownWeight = 32768

func (r *Record) decode(raw json.RawMessage) error {
	f := fields{}
	if err := json.Unmarshal(raw, &f); err != nil {
		return fmt.Errorf("want an object")
	}
	var token string
	var resource json.RawMessage
	weight := -1.0
	for name, into := range map[string]any{
		"runner_name": &r.Runner, "job_id": &r.Job, "token": &token, "trace_offset": &r.TraceOffset,
		"expected_weight": &weight, "paas_resource": &resource,
	} {
		if err := f.take(name, into); err != nil {
			return err
		}
	}
	if r.Runner == "" || r.Job <= 0 {
		return fmt.Errorf("runner_name or job_id is missing")
	}
	r.Token, r.extra = secret.New(token), f
	if resource != nil {
		r.Host = &Host{Name: r.Name()}
		if err := r.Host.decode(resource); err != nil {
			return fmt.Errorf("paas_resource of job %s: %w", r.Key, err)
		}
		r.Tenant = r.Host.Tenant
	}
	switch {
	case weight >= 0:
		r.Weight = weight
	case r.Host != nil:
		r.Weight = r.Host.Weight
	default:
		r.Weight = unknownWeight
	}
	return nil
}

// handle is the record in the form that heptapod-paas-runner reads. It calls a
// constructor with all keys, so there is nothing new in it.
func (r Record) handle() map[string]any {
	h := map[string]any{
		"runner_name": r.Runner, "job_id": r.Job, "token": r.Token.Reveal(), "trace_offset": r.TraceOffset, "expected_weight": r.Weight,
	}
	if r.Host != nil {
		h["paas_resource"] = r.Host.resource()
	}
	return r.extra.with(h)
}

func (h *Host) decode(raw json.RawMessage) error {
	if json.Unmarshal(raw, &h.ID) == nil {
		h.Image = true
		return nil
	}
	f := fields{}
	if err := json.Unmarshal(raw, &f); err != nil {
		return fmt.Errorf("want an object or a name")
	}
	h.Weight = unknownWeight
	for name, into := range map[string]any{
		"id": &h.ID, "gitlab_namespace": &h.Tenant, "weight": &h.Weight, "launched": &h.Launched, "deploy_url": &h.DeployURL,
	} {
		if err := f.take(name, into); err != nil {
			return err
		}
	}
	if h.ID == "" {
		return fmt.Errorf("id is missing")
	}
	h.extra = f
	return nil
}

func (h Host) resource() any {
	if h.Image {
		return h.ID
	}
	var tenant any
	if h.Tenant != "" {
		tenant = h.Tenant
	}
	return h.extra.with(map[string]any{
		"id": h.ID, "gitlab_namespace": tenant, "weight": h.Weight, "launched": h.Launched, "deploy_url": h.DeployURL,
	})
}

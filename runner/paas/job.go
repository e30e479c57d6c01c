package paas

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/heptaup/hepta/internal/secret"
)

// Job is what is read of a job; the rest goes to the host as it came.
type Job struct {
	ID        int64
	Token     Secret
	Project   int64
	Flavor    string // what the job asks for; empty when it does not
	Namespace string // what its variables say of the top-level group: no more than a claim, see Coordinator.Tenant
	Payload   Secret // the whole job, JSON
}

// namespaceVariable is set by the forge and can be overridden by whoever writes
// the variables of a job.
const namespaceVariable = "CI_PROJECT_ROOT_NAMESPACE"

// ParseJob reads the JSON of a job, or a JSON text that holds it. Errors never
// quote it: it is full of secrets.
func ParseJob(data []byte) (Job, error) {
	var text string
	if json.Unmarshal(data, &text) == nil {
		data = []byte(text)
	}
	var in struct {
		ID    int64  `json:"id"`
		Token string `json:"token"`
		Info  struct {
			Project int64 `json:"project_id"`
		} `json:"job_info"`
		Variables []struct{ Key, Value string } `json:"variables"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return Job{}, fmt.Errorf("read job: %s has another type", kind.Field)
		}
		return Job{}, errors.New("read job: not valid JSON")
	}
	if in.ID <= 0 || in.Token == "" {
		return Job{}, errors.New("read job: no id or no token")
	}
	j := Job{ID: in.ID, Token: secret.New(in.Token), Project: in.Info.Project, Payload: secret.New(string(data))}
	// The last one of several variables with one name counts.
	for _, v := range in.Variables {
		switch v.Key {
		case FlavorVariable:
			j.Flavor = v.Value
		case namespaceVariable:
			j.Namespace = v.Value
		}
	}
	return j, nil
}

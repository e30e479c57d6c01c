package paas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
)

// Tenant is the top-level group of a job's project, as the forge says. The
// variables of a job can say anything, since its author writes them: a job
// whose variables name another group is refused. The project's ID is the
// forge's own. The errors are for the job's author.
func (c *Coordinator) Tenant(ctx context.Context, reader Secret, j Job) (string, error) {
	if j.Project <= 0 {
		return "", &wishError{errors.New("find the group of the job: the forge does not say which project the job is of")}
	}
	q := call{method: http.MethodGet, path: fmt.Sprint("/projects/", j.Project), header: http.Header{"Private-Token": {reader.Reveal()}}}
	a, err := c.send(ctx, q)
	if err != nil {
		return "", fmt.Errorf("find the group of project %d: %w", j.Project, err)
	}
	if a.status != http.StatusOK {
		return "", &fault.Error{
			Op: "find the group of project", What: fmt.Sprint(j.Project), Err: a.refusal(q),
			Remedy: "The token in cc_gitlab_namespace_attributes_token must belong to an administrator.",
		}
	}
	var project struct {
		Namespace struct {
			Kind string
			Path string `json:"full_path"`
		}
	}
	if json.Unmarshal(a.body, &project) != nil || project.Namespace.Path == "" {
		return "", fmt.Errorf("find the group of project %d: the answer is not the JSON that was expected", j.Project)
	}
	if project.Namespace.Kind == "user" {
		return "", &wishError{&fault.Error{
			Op: "find the group of project", What: fmt.Sprint(j.Project), Why: "it belongs to a user, and only groups have an organisation that pays for hosts",
			Remedy: "Move the project into a group, or choose another runner by tags.",
		}}
	}
	tenant, _, _ := strings.Cut(project.Namespace.Path, "/")
	if j.Namespace != "" && j.Namespace != tenant {
		return "", &wishError{&fault.Error{
			Op: "find the group of project", What: fmt.Sprint(j.Project),
			Why:    fmt.Sprintf("the job's variable %s says %q, and the forge says %q", namespaceVariable, j.Namespace, tenant),
			Remedy: "Remove " + namespaceVariable + " from the variables in .gitlab-ci.yml and from those of the project, its groups and its schedules.",
		}}
	}
	return tenant, nil
}

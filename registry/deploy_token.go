package registry

import (
	"context"
	"fmt"
	"net/http"
	"time"

	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta/internal/fault"
)

// DeployToken is a token of a project that may pull its images and nothing else.
type DeployToken struct {
	ID          int64
	Credentials Credentials
	Ends        time.Time // zero: never
}

// CreateDeployToken makes a deploy token with the scope read_registry for a
// project. Its text is in the result alone: the forge shows it to nobody again.
func CreateDeployToken(ctx context.Context, client *gitlab.Client, project, name string, ends time.Time) (DeployToken, error) {
	o := &gitlab.CreateProjectDeployTokenOptions{Name: &name, Scopes: &[]string{"read_registry"}}
	if !ends.IsZero() {
		o.ExpiresAt = &ends
	}
	made, answer, err := client.DeployTokens.CreateProjectDeployToken(project, o, gitlab.WithContext(ctx))
	if answer != nil && answer.StatusCode == http.StatusNotFound {
		return DeployToken{}, &fault.Error{Op: "create deploy token of", What: project, Why: "the forge has no project of that name", Err: ErrNotFound,
			Remedy: "Write its path with its group, as in group/project."}
	}
	if err != nil {
		return DeployToken{}, fmt.Errorf("create deploy token of %s: %w", project, err)
	}
	token := DeployToken{ID: made.ID, Credentials: Credentials{User: made.Username, Password: NewSecret(made.Token)}}
	if made.ExpiresAt != nil {
		token.Ends = made.ExpiresAt.UTC()
	}
	return token, nil
}

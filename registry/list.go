package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	gitlab "gitlab.com/gitlab-org/api/client-go"
	"golang.org/x/sync/errgroup"

	"github.com/heptaup/hepta/internal/fault"
)

const (
	pageSize = 100 // the most that the forge gives at once
	asks     = 4   // requests under way at once
)

// Repository is what the registry holds under one name.
type Repository struct {
	Path    string `json:"path"`    // as in group/project/part
	Project string `json:"project"` // whose it is
	Tags    []Tag  `json:"tags"`    // by name
	// Cleanup is the project's policy; nil where the forge does not tell it.
	Cleanup *Cleanup `json:"cleanup,omitempty"`
}

// Tag is one name of an image.
type Tag struct {
	Name    string    `json:"name"`
	Digest  string    `json:"digest,omitempty"`
	Size    int64     `json:"size"` // bytes of configuration and layers, compressed; shared layers count each time
	Created time.Time `json:"created,omitzero"`
	Broken  bool      `json:"broken,omitempty"` // the forge cannot read what the tag names
}

// ListOptions is for List.
type ListOptions struct {
	Project string // path or number of one project; default all that client may see
}

// List asks the forge which repositories its registry holds, with their tags,
// in the order of their paths. The forge answers for the size of a tag one by
// one, so that a registry of many tags takes its time.
func List(ctx context.Context, client *gitlab.Client, o ListOptions) ([]Repository, error) {
	projects, err := listProjects(ctx, client, o.Project)
	if err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(asks)
	perProject := make([][]Repository, len(projects))
	for i, p := range projects {
		group.Go(func() (err error) {
			perProject[i], _, err = findRepositories(ctx, client, p)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(perProject...)
	slices.SortFunc(all, func(a, b Repository) int { return cmp.Compare(a.Path, b.Path) })
	return all, nil
}

// listProjects are the projects whose registry is switched on.
func listProjects(ctx context.Context, client *gitlab.Client, only string) ([]*gitlab.Project, error) {
	var all []*gitlab.Project
	if only != "" {
		p, answer, err := client.Projects.GetProject(only, nil, gitlab.WithContext(ctx))
		if answer != nil && answer.StatusCode == http.StatusNotFound {
			return nil, &fault.Error{Op: "find project", What: only, Why: "the forge has no such project", Kind: ErrNotFound,
				Remedy: "Write its path with its group, as in group/project."}
		}
		if err != nil {
			return nil, fmt.Errorf("find project %s: %w", only, err)
		}
		return []*gitlab.Project{p}, nil
	}
	err := pages(func(page gitlab.ListOptions) (*gitlab.Response, error) {
		list, answer, err := client.Projects.ListProjects(&gitlab.ListProjectsOptions{ListOptions: page}, gitlab.WithContext(ctx))
		for _, p := range list {
			if p.ContainerRegistryAccessLevel != gitlab.DisabledAccessControl {
				all = append(all, p)
			}
		}
		return answer, err
	})
	if err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	return all, nil
}

// findRepositories are a project's repositories, and their numbers in the forge.
func findRepositories(ctx context.Context, client *gitlab.Client, p *gitlab.Project) ([]Repository, []int64, error) {
	var found []*gitlab.RegistryRepository
	err := pages(func(page gitlab.ListOptions) (*gitlab.Response, error) {
		list, answer, err := client.ContainerRegistry.ListProjectRegistryRepositories(p.ID,
			&gitlab.ListProjectRegistryRepositoriesOptions{ListOptions: page}, gitlab.WithContext(ctx))
		// A forge whose registry is off for this project says 403 or 404.
		if answer != nil && (answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusNotFound) {
			return answer, nil
		}
		found = append(found, list...)
		return answer, err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list repositories of %s: %w", p.PathWithNamespace, err)
	}
	out, ids := make([]Repository, 0, len(found)), make([]int64, 0, len(found))
	for _, r := range found {
		tags, err := listTags(ctx, client, p.ID, r)
		if err != nil {
			return nil, nil, fmt.Errorf("list tags of %s: %w", r.Path, err)
		}
		out, ids = append(out, Repository{Path: r.Path, Project: p.PathWithNamespace, Tags: tags, Cleanup: cleanupOf(p)}), append(ids, r.ID)
	}
	return out, ids, nil
}

func listTags(ctx context.Context, client *gitlab.Client, project int64, r *gitlab.RegistryRepository) ([]Tag, error) {
	tags := []Tag{}
	err := pages(func(page gitlab.ListOptions) (*gitlab.Response, error) {
		list, answer, err := client.ContainerRegistry.ListRegistryRepositoryTags(project, r.ID,
			&gitlab.ListRegistryRepositoryTagsOptions{ListOptions: page}, gitlab.WithContext(ctx))
		for _, t := range list {
			tags = append(tags, Tag{Name: t.Name})
		}
		return answer, err
	})
	if err != nil {
		return nil, err
	}
	for i := range tags {
		t, answer, err := client.ContainerRegistry.GetRegistryRepositoryTagDetail(project, r.ID, tags[i].Name, gitlab.WithContext(ctx))
		switch {
		case answer != nil && answer.StatusCode == http.StatusNotFound:
			tags[i].Broken = true
			continue
		case err != nil:
			return nil, err
		}
		tags[i].Digest, tags[i].Size = t.Digest, t.TotalSize
		if t.CreatedAt != nil {
			tags[i].Created = t.CreatedAt.UTC()
		}
	}
	slices.SortFunc(tags, func(a, b Tag) int { return cmp.Compare(a.Name, b.Name) })
	return tags, nil
}

// pages asks for one page after the other until there is no next one.
func pages(ask func(gitlab.ListOptions) (*gitlab.Response, error)) error {
	for page := int64(1); ; {
		answer, err := ask(gitlab.ListOptions{Page: page, PerPage: pageSize})
		if err != nil {
			return err
		}
		if answer == nil {
			return errors.New("the forge gave no answer")
		}
		if answer.NextPage <= page {
			return nil
		}
		page = answer.NextPage
	}
}

package registry

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta/internal/fault"
)

// Cleanup says which tags of a project's repositories go by themselves. It is
// GitLab's expiration policy: of the tags whose names match Tags and not
// KeepTags the Keep newest stay, and of the others those that are older than
// OlderThan go. The tag latest always stays.
type Cleanup struct {
	Keep      int    `json:"keep,omitempty"`       // 1, 5, 10, 25, 50 or 100; 0: none for their number
	OlderThan string `json:"older_than,omitempty"` // 7d, 14d, 30d, 60d or 90d; "": whatever their age
	Tags      string `json:"tags"`                 // regular expression for the whole name
	KeepTags  string `json:"keep_tags,omitempty"`  // the same, of those that stay; "": none
	Every     string `json:"every"`                // 1d, 7d, 14d, 1month or 3month
	Enabled   bool   `json:"enabled"`
}

// String is the policy in words.
func (c Cleanup) String() string {
	if !c.Enabled {
		return "off"
	}
	text := "removes tags " + c.Tags
	if c.KeepTags != "" {
		text += " but not " + c.KeepTags
	}
	if c.OlderThan != "" {
		text += " older than " + c.OlderThan
	}
	if c.Keep > 0 {
		text += fmt.Sprintf(", keeps the %d newest", c.Keep)
	}
	return text + ", every " + c.Every
}

// cleanupOf is the policy that the forge has for a project, nil where it does
// not say.
func cleanupOf(p *gitlab.Project) *Cleanup {
	e := p.ContainerExpirationPolicy
	if e == nil {
		return nil
	}
	//lint:ignore SA1019 the forge answers with the name that the library calls deprecated
	tags := cmp.Or(e.NameRegexDelete, e.NameRegex)
	return &Cleanup{Keep: int(e.KeepN), OlderThan: e.OlderThan, Tags: tags, KeepTags: e.NameRegexKeep, Every: e.Cadence, Enabled: e.Enabled}
}

// SetCleanup gives projects a policy: those named, and those of groups that are
// named; all without any name. It returns the paths of those that had another
// one. A name that leads to no project is ErrNotFound, and nothing is changed.
func SetCleanup(ctx context.Context, client *gitlab.Client, c Cleanup, projects ...string) ([]string, error) {
	list, err := cleanupProjects(ctx, client, projects)
	if err != nil {
		return nil, err
	}
	var changed []string
	for _, p := range list {
		if had := cleanupOf(p); had != nil && *had == c {
			continue
		}
		if err := setPolicy(ctx, client, p.ID, c); err != nil {
			return changed, fmt.Errorf("set cleanup of %s: %w", p.PathWithNamespace, err)
		}
		changed = append(changed, p.PathWithNamespace)
	}
	return changed, nil
}

// setPolicy sends every value: the client library cannot send the null that
// takes one away.
func setPolicy(ctx context.Context, client *gitlab.Client, project int64, c Cleanup) error {
	type attributes struct {
		Cadence       string  `json:"cadence"`
		Enabled       bool    `json:"enabled"`
		KeepN         *int    `json:"keep_n"`
		OlderThan     *string `json:"older_than"`
		NameRegex     string  `json:"name_regex"` // what releases before 12.10 read
		NameRegexDel  string  `json:"name_regex_delete"`
		NameRegexKeep *string `json:"name_regex_keep"`
	}
	a := attributes{Cadence: c.Every, Enabled: c.Enabled, NameRegex: c.Tags, NameRegexDel: c.Tags}
	if c.Keep > 0 {
		a.KeepN = &c.Keep
	}
	if c.OlderThan != "" {
		a.OlderThan = &c.OlderThan
	}
	if c.KeepTags != "" {
		a.NameRegexKeep = &c.KeepTags
	}
	req, err := client.NewRequest(http.MethodPut, fmt.Sprintf("projects/%d", project),
		map[string]any{"container_expiration_policy_attributes": a}, []gitlab.RequestOptionFunc{gitlab.WithContext(ctx)})
	if err != nil {
		return err
	}
	_, err = client.Do(req, nil)
	return err
}

// cleanupProjects are the projects with a registry that names lead to.
func cleanupProjects(ctx context.Context, client *gitlab.Client, names []string) ([]*gitlab.Project, error) {
	all, err := listProjects(ctx, client, "")
	if err != nil || len(names) == 0 {
		return all, err
	}
	found := map[string]bool{}
	all = slices.DeleteFunc(all, func(p *gitlab.Project) bool {
		hit := false
		for _, name := range names {
			path, name := strings.ToLower(p.PathWithNamespace), strings.ToLower(name)
			if path == name || strings.HasPrefix(path, name+"/") {
				found[name], hit = true, true
			}
		}
		return !hit
	})
	for _, name := range names {
		if !found[strings.ToLower(name)] {
			return nil, &fault.Error{Op: "find project or group", What: name, Why: "the forge has no project of that name, or below it, whose registry is on", Err: ErrNotFound,
				Remedy: "Write its path with its group, as in group/project, or the group's alone."}
		}
	}
	return all, nil
}

// Removed is a tag that Prune has removed, or would.
type Removed struct {
	Repository string    `json:"repository"`
	Tag        string    `json:"tag"`
	Created    time.Time `json:"created,omitzero"`
}

// PruneOptions is for Prune.
type PruneOptions struct {
	Projects []string  // paths of projects and groups; default all
	DryRun   bool      // only say what would go
	Now      time.Time // default the present
}

// Prune removes at once the tags that a policy names, whether it is enabled or
// not, in the order in which it does so, and returns them. What is left of
// their images goes with Collect. It does what GitLab's own cleanup does when
// its time has come, which waits for up to a day and says nothing.
func Prune(ctx context.Context, client *gitlab.Client, c Cleanup, o PruneOptions) ([]Removed, error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	projects, err := cleanupProjects(ctx, client, o.Projects)
	if err != nil {
		return nil, err
	}
	var removed []Removed
	for _, p := range projects {
		repositories, ids, err := findRepositories(ctx, client, p)
		if err != nil {
			return removed, err
		}
		for i, r := range repositories {
			gone, err := c.expired(r.Tags, o.Now)
			if err != nil {
				return removed, err
			}
			for _, tag := range gone {
				if !o.DryRun {
					answer, err := client.ContainerRegistry.DeleteRegistryRepositoryTag(p.ID, ids[i], tag.Name, gitlab.WithContext(ctx))
					if answer != nil && answer.StatusCode == http.StatusNotFound {
						continue // somebody else was faster
					}
					if err != nil {
						return removed, fmt.Errorf("remove %s:%s: %w", r.Path, tag.Name, err)
					}
				}
				removed = append(removed, Removed{Repository: r.Path, Tag: tag.Name, Created: tag.Created})
			}
		}
	}
	return removed, nil
}

// expired are the tags that the policy removes, the oldest first. A tag whose
// age the forge does not know stays, as GitLab leaves it.
func (c Cleanup) expired(tags []Tag, now time.Time) ([]Tag, error) {
	goes, err := wholeName(c.Tags)
	if err != nil {
		return nil, err
	}
	stays, err := wholeName(c.KeepTags)
	if err != nil {
		return nil, err
	}
	var list []Tag
	for _, t := range tags {
		if t.Name != "latest" && !t.Created.IsZero() && goes.MatchString(t.Name) && (c.KeepTags == "" || !stays.MatchString(t.Name)) {
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(a, b Tag) int { return b.Created.Compare(a.Created) })
	list = list[min(c.Keep, len(list)):]
	if c.OlderThan != "" {
		var days int
		if _, err := fmt.Sscanf(c.OlderThan, "%dd", &days); err != nil {
			return nil, fmt.Errorf("read age %q: want days, as in 30d", c.OlderThan)
		}
		limit := now.AddDate(0, 0, -days)
		list = slices.DeleteFunc(list, func(t Tag) bool { return !t.Created.Before(limit) })
	}
	slices.Reverse(list)
	return list, nil
}

// wholeName is a pattern as GitLab compares it: with the whole name. Both use
// the syntax of RE2.
func wholeName(pattern string) (*regexp.Regexp, error) {
	compiled, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("read pattern of tags: %w", err)
	}
	return compiled, nil
}

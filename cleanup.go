package hepta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/opaque"
	"github.com/heptaup/hepta/registry"
)

// fileCleanup holds the cleanup of the registry that was last set in the forge.
const fileCleanup = "heptapod/config/hepta/registry_cleanup"

// keptTags are the numbers that GitLab takes.
var keptTags = []int{0, 1, 5, 10, 25, 50, 100}

// cleanup is what hepta.yaml says about the registry's tags, nil for nothing.
func (c *Config) cleanup() *Cleanup {
	if r := c.forgeRegistry(); r != nil {
		return r.Cleanup
	}
	return nil
}

// policy is the cleanup in the registry's words.
func (c *Cleanup) policy() registry.Cleanup {
	return registry.Cleanup{Keep: c.Keep, OlderThan: c.OlderThan, Tags: c.Tags, KeepTags: c.KeepTags, Every: c.Every, Enabled: c.Enabled == nil || *c.Enabled}
}

// cleanupProblems is what GitLab would refuse, and what would remove too much.
func (c *Config) cleanupProblems(add adder) {
	r := c.Registry
	if r == nil || r.Cleanup == nil {
		return
	}
	if c.forgeRegistry() == nil {
		add("registry.cleanup", "there is no registry: give it a host or a port")
		return
	}
	k := r.Cleanup
	if !slices.Contains(keptTags, k.Keep) {
		add("registry.cleanup.keep", "%d is none of 1, 5, 10, 25, 50, 100: the forge takes no other number", k.Keep)
	}
	if k.Keep == 0 && k.OlderThan == "" && k.policy().Enabled {
		add("registry.cleanup", "without keep and older_than every tag but latest would go: say what stays")
	}
	for key, text := range map[string]string{"tags": k.Tags, "keep_tags": k.KeepTags} {
		if _, err := regexp.Compile(text); err != nil {
			add("registry.cleanup."+key, "%q is no regular expression of RE2", text)
		}
	}
}

// addCleanup has the policy set in the forge when it is another one than was
// set last. What somebody sets there by hand stays until then.
func (s *Stack) addCleanup() {
	c := s.cfg.cleanup()
	if c == nil {
		return
	}
	want, err := json.Marshal(struct {
		registry.Cleanup
		Projects []string `json:"projects,omitempty"`
	}{c.policy(), c.Projects})
	if err != nil {
		panic(err) // texts and numbers always have a JSON form
	}
	text := string(want) + "\n"
	s.want.Files = append(s.want.Files, converge.File{
		Path: fileCleanup, Mode: 0o644, After: []converge.Ref{"file:" + heptapod.FileReadme},
		// Made empty and filled by the task.
		Merge: converge.KeepContent,
	})
	s.want.Decide = append(s.want.Decide, func(o *converge.Observed) ([]converge.Task, error) {
		file, looked := o.Files[fileCleanup]
		var cause string
		switch was := string(file.Content); {
		case was == text:
			return nil, nil
		case !looked:
			cause = converge.CauseUnseen
		case strings.TrimSpace(was) == "":
			cause = "it was not set yet"
		default:
			cause = "registry.cleanup changed"
		}
		return []converge.Task{{
			Name: "registry cleanup", Verb: "set", Cause: cause, Ref: "task:registry-cleanup",
			After: []converge.Ref{"container:" + heptapod.Service, heptapod.RefToken, "file:" + fileCleanup}, // that is made empty
			Run:   func(ctx context.Context, host converge.Host) error { return s.setCleanup(ctx, host, text) },
		}}, nil
	})
}

// setCleanup sets the policy where it differs and then keeps what was set:
// killed in between, it is set once more.
func (s *Stack) setCleanup(ctx context.Context, host converge.Host, text string) error {
	was, err := host.ReadFile(ctx, fileCleanup)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if string(was) == text {
		return nil
	}
	client, err := s.forge.ClientOn(ctx, opaque.Hide(host))
	if err != nil {
		return err
	}
	c := s.cfg.cleanup()
	changed, err := registry.SetCleanup(ctx, client, c.policy(), c.Projects...)
	if err != nil {
		return err
	}
	host.Progress(fmt.Sprintf("set in %d projects", len(changed)))
	if err := host.WriteFile(ctx, fileCleanup, []byte(text), 0o644, 0, 0); err != nil {
		return fmt.Errorf("keep cleanup of the registry: %w", err)
	}
	return nil
}

// RegistryPrune is for PruneRegistry.
type RegistryPrune struct {
	Projects []string // paths of projects and groups; default those of registry.cleanup, else all
	DryRun   bool     // only say what would go
}

// Pruned is what PruneRegistry has done.
type Pruned struct {
	Set     []string           `json:"set"`     // projects that had another policy than hepta.yaml says
	Removed []registry.Removed `json:"removed"` // tags, or with DryRun those that would go
}

// PruneRegistry removes at once the tags that registry.cleanup names, and gives
// its policy to projects that do not have it yet, such as new ones.
func (s *Stack) PruneRegistry(ctx context.Context, o RegistryPrune) (*Pruned, error) {
	if _, err := s.registryURL(); err != nil {
		return nil, err
	}
	c := s.cfg.cleanup()
	if c == nil {
		return nil, &fault.Error{Op: "prune registry of", What: "stack " + s.cfg.Stack, Why: "hepta.yaml does not say what may go",
			Remedy: "Say it there, as in `registry: {cleanup: {keep: 10, older_than: 30d}}`."}
	}
	if !c.policy().Enabled {
		return nil, &fault.Error{Op: "prune registry of", What: "stack " + s.cfg.Stack, Why: "registry.cleanup is off in hepta.yaml",
			Remedy: "Remove `enabled: false` there, and see what would go: hepta registry prune --dry-run"}
	}
	client, err := s.forge.Client(ctx)
	if err != nil {
		return nil, err
	}
	done := &Pruned{}
	if !o.DryRun {
		if done.Set, err = registry.SetCleanup(ctx, client, c.policy(), c.Projects...); err != nil {
			return done, err
		}
	}
	if len(o.Projects) == 0 {
		o.Projects = c.Projects
	}
	done.Removed, err = registry.Prune(ctx, client, c.policy(), registry.PruneOptions{Projects: o.Projects, DryRun: o.DryRun})
	return done, err
}

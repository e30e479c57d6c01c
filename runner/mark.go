package runner

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/pattern"
)

// markPrefix begins the labels that a runner puts on what it makes for jobs.
// Runners before 13 put them on containers alone, and have no "managed".
const markPrefix = "com.gitlab.gitlab-runner."

// LabelBuiltAs is the label of an image that a job built with the host's
// Docker: the name that the job gave it. What is made from that image inherits
// the label and has another name.
const LabelBuiltAs = "hepta.built-as"

// LabelJob is the label of the containers of a stack's jobs, where their runner
// can set labels: the name of the stack.
const LabelJob = "hepta.job"

// neutralLabels take the meaning from labels that a container of a job may have
// from its image: those by which the proxy and hepta itself know containers.
// Case does not matter to the proxy, and of two spellings it takes this one.
func neutralLabels() map[string]string {
	return map[string]string{
		"traefik.enable": "false", converge.LabelProof: "",
		converge.LabelStack: "", converge.LabelService: "", converge.LabelOwner: "",
	}
}

// containerLabels are those of a job's containers: neutral ones, the stack's
// mark, and the user's, which cannot undo these.
func (cfg Config) containerLabels(users any) map[string]any {
	labels := map[string]any{}
	if given, ok := users.(map[string]any); ok {
		maps.Copy(labels, given)
	}
	for k, v := range neutralLabels() {
		labels[k] = v
	}
	labels[LabelJob] = cfg.Stack
	return labels
}

// The names that runners give. A slot is one of the places that a runner has
// for the jobs of a project; what is left of one is used again by the next.
const (
	slotPattern = `^runner-[A-Za-z0-9_-]+?-project-([0-9]+)-concurrent-[0-9]+-`
	cacheEnd    = `cache-[0-9a-f]{16,}(-protected)?`
)

var (
	slotName     = pattern.New(slotPattern)
	slotNetwork  = pattern.New(slotPattern + `([A-Za-z0-9-]+-)?network$`)
	shortNetwork = pattern.New(`^runner-[A-Za-z0-9_-]+-[0-9]+-[0-9]+-[0-9]+$`) // since 17.3
	slotCache    = pattern.New(slotPattern + `([0-9a-f]{8}-)?` + cacheEnd + `$`)
	hashedCache  = pattern.New(`^runner-[0-9a-f]{16,}-` + cacheEnd + `$`) // since 18.4
	hashedInit   = pattern.New(`^runner-[0-9a-f]{16,}-` + cacheEnd + `-set-permission-`)
	anonymous    = pattern.New(`^[0-9a-f]{64}$`)
)

// marks reads the labels of a job.
func marks(l *Leftover, labels map[string]string) (marked bool) {
	l.Job, l.Project, l.Runner = labels[markPrefix+"job.id"], labels[markPrefix+"project.id"], labels[markPrefix+"runner.id"]
	return l.Job != "" || labels[markPrefix+"managed"] == "true"
}

// mayBeMarked reports whether a container has a name that a runner gives and
// the labels of a job, which its image may have brought.
func mayBeMarked(c *container.Summary) bool {
	name := containerName(c)
	return (slotName().MatchString(name) || hashedInit().MatchString(name)) && marks(&Leftover{}, c.Labels)
}

// containerMarks is the leftover that a container may be. A runner gives its
// containers both a name and the number of the job; an image may bring such a
// label too, from the job that built it or from what it was built from, and so
// only what the container has beyond its image tells. The containers of stacks
// are no runner's.
func containerMarks(c *container.Summary, inherited map[string]string) (Leftover, bool) {
	l := Leftover{Kind: LeftContainer, ID: c.ID, Name: containerName(c), Created: time.Unix(c.Created, 0)}
	if !mayBeMarked(c) {
		return l, false
	}
	marks(&l, c.Labels)
	slot := slotName().FindStringSubmatch(l.Name)
	if slot != nil {
		l.slot = slot[0]
	}
	own := ownLabels(c.Labels, inherited)
	return l, own[markPrefix+"job.id"] != "" && own[converge.LabelStack] == "" && (slot == nil || slot[1] == l.Project)
}

// ownLabels are those that a container does not have from its image.
func ownLabels(labels, inherited map[string]string) map[string]string {
	own := map[string]string{}
	for k, v := range labels {
		if was, there := inherited[k]; !there || was != v {
			own[k] = v
		}
	}
	return own
}

// containerName is the container's own name: links add further ones with two
// slashes.
func containerName(c *container.Summary) string {
	for _, n := range c.Names {
		if n = strings.TrimPrefix(n, "/"); !strings.Contains(n, "/") {
			return n
		}
	}
	return ""
}

// volumeMarks is the leftover that a volume may be. Volumes inherit nothing;
// those of runners before 13 have no labels either.
func volumeMarks(v *volume.Volume) (Leftover, bool) {
	l := Leftover{Kind: LeftVolume, ID: v.Name, Name: v.Name, slot: slotName().FindString(v.Name)}
	l.Created, _ = time.Parse(time.RFC3339, v.CreatedAt)
	marked := marks(&l, v.Labels)
	return l, slotCache().MatchString(v.Name) || marked && hashedCache().MatchString(v.Name)
}

func networkMarks(n network.Summary) (Leftover, bool) {
	l := Leftover{Kind: LeftNetwork, ID: n.ID, Name: n.Name, Created: n.Created, slot: slotName().FindString(n.Name)}
	marked := marks(&l, n.Labels)
	return l, slotNetwork().MatchString(n.Name) || marked && shortNetwork().MatchString(n.Name)
}

// imageMarks is the leftover that an image may be: one that still has the name
// that its job gave it, or no name any more.
func imageMarks(i *image.Summary) (Leftover, bool) {
	l := Leftover{Kind: LeftImage, ID: i.ID, Name: i.ID, Created: time.Unix(i.Created, 0)}
	given := fullName(i.Labels[LabelBuiltAs])
	if given == "" {
		return l, false
	}
	marks(&l, i.Labels)
	named := slices.DeleteFunc(slices.Clone(i.RepoTags), func(t string) bool { return t == "<none>:<none>" })
	if len(named) == 0 {
		return l, true
	}
	at := slices.IndexFunc(named, func(t string) bool { return fullName(t) == given })
	if at < 0 {
		return l, false
	}
	l.Name, l.tag, l.alias = named[at], named[at], len(named) > 1
	return l, true
}

// fullName is the one way to write the name of an image, "" for what is none.
func fullName(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return ""
	}
	return reference.TagNameOnly(named).String()
}

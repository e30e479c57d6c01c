package heptapod

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// RefVersion is the task that asks an image for its release where its name
// does not tell whether the data may be started by it.
const RefVersion Ref = "task:heptapod-version"

// fileVersion is where GitLab notes its release in the data. It is written
// before anything is migrated: as long as it tells an old release, that one may
// still run. Source: recipes/gitlab-rails.rb of omnibus-gitlab, which comes before
// database_migrations.rb.
const fileVersion = "heptapod/data/gitlab-rails/VERSION"

// imageVersion is the same file inside the image, as its own start reads it.
// Source: docker/assets/wrapper of omnibus-gitlab.
const imageVersion = "/opt/gitlab/embedded/service/gitlab-rails/VERSION"

// decideVersion refuses an image that the data must not be started by, before
// anything is stopped. Where the image's name does not tell, a task looks into it.
func (f *Forge) decideVersion(o *converge.Observed) ([]converge.Task, error) {
	s := &converge.Stack{Name: f.cfg.Stack, Containers: []converge.Container{{Service: Service, Name: f.ContainerName()}}}
	image := f.imageFor(s, o)
	there := s.Of(Service, o)
	seen, looked := o.Files[fileVersion]
	switch {
	case len(there) > 0 && there[0].Running() && f.runs(there[0], image, o):
		return nil, nil
	case looked && !seen.Exists: // no forge ever ran there
		return nil, nil
	}
	to, err := ParseVersion(image)
	if err != nil {
		return nil, err
	}
	c := trusted(image, to)
	data, err := ParseDataVersion(string(seen.Content))
	if err == nil {
		if err := f.unasked(s, o, data, image, c); err != nil {
			return nil, err
		}
		if err := f.refusal(image, checkUpgrade(data, to, c)); err != nil {
			return nil, err
		}
	}
	// A stopped container that starts again brings nothing new.
	if len(there) == 1 && f.runs(there[0], image, o) || looked && (err != nil || settled(data, c)) || !looked && c.known {
		return nil, nil
	}
	return []converge.Task{{
		Name: "forge version", Verb: "check", Ref: RefVersion, Before: f.guarded(),
		Cause: "the name " + image + " does not tell which GitLab is in it",
		Run:   func(ctx context.Context, host converge.Host) error { return f.askImage(ctx, host, image, to) },
	}}, nil
}

// warnVersion tells when the release of the data cannot be made out.
func (f *Forge) warnVersion(o *converge.Observed) []string {
	seen := o.Files[fileVersion]
	if _, err := ParseDataVersion(string(seen.Content)); !seen.Exists || err == nil {
		return nil
	}
	return []string{f.cfg.Data + "/" + fileVersion + " tells no release: whether an image may be started on the data is not checked"}
}

// runs reports whether a container was made from what image names now.
func (f *Forge) runs(c converge.ObservedContainer, image string, o *converge.Observed) bool {
	from, id := c.MadeFrom()
	if converge.NormalizeImage(from) != converge.NormalizeImage(image) {
		return false
	}
	now, local := o.ImageID(image)
	return !f.named || id == "" || local && now == id
}

// trusted is what an image's name says of the GitLab in it: nothing, where the
// image has a name of its own, whose numbers may be anything.
func trusted(image string, v Version) content {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return content{}
	}
	path := reference.Path(named)
	last := path[strings.LastIndexByte(path, '/')+1:]
	if !slices.Contains([]string{"heptapod", "gitlab-ce", "gitlab-ee", "gitlab"}, last) {
		return content{}
	}
	return v.carries()
}

// unasked refuses an upgrade that nobody has asked for: to the default image.
func (f *Forge) unasked(s *converge.Stack, o *converge.Observed, data Version, image string, c content) error {
	if f.named || len(s.Of(Service, o)) > 0 || o.Files[fileImage].Exists || c.release == data.carries().release {
		return nil
	}
	return &fault.Error{
		Op: "start the forge on", What: f.cfg.Data + "/heptapod",
		Why:    fmt.Sprintf("the data are of GitLab %s and no image is named: the default one, %s, is of another release", data, image),
		Remedy: "Name the image in hepta.yaml: heptapod: {image: " + sameRelease(data).In(image) + "}",
	}
}

// sameRelease is the version, in Heptapod's numbers, that data of a release run on.
func sameRelease(data Version) Version {
	at := data.carries().release
	for _, h := range heptapodReleases() {
		if h.gitlab == at {
			return numbered(true, h.number, h.patch)
		}
	}
	return numbered(true, at, noPatch)
}

// askImage looks into the image for its release and refuses what must not be
// started on the data. An image that does not tell is let through, and told.
func (f *Forge) askImage(ctx context.Context, host converge.Host, image string, to Version) error {
	text, err := host.ReadFile(ctx, fileVersion)
	if err != nil { // there are no data yet
		return nil
	}
	data, err := ParseDataVersion(string(text))
	if err != nil {
		return nil
	}
	out, err := host.Run(ctx, converge.OneOff{Container: converge.Container{
		Name: f.cfg.Stack + "-version", Image: image, Entrypoint: []string{"cat"}, Cmd: []string{imageVersion}, User: "0:0",
	}})
	if err != nil {
		return fmt.Errorf("ask image %s for its release: %w", image, err)
	}
	inside, err := ParseDataVersion(string(out))
	if err != nil {
		host.Progress(image + " does not tell its release: whether the data may be started by it is left to the image")
		return nil
	}
	inside.Heptapod = to.Heptapod
	return f.refusal(image, checkUpgrade(data, inside, content{true, release{inside.Major, inside.Minor}, inside.Patch}))
}

// refusal is what people read of an *UpgradeError.
func (f *Forge) refusal(image string, err error) error {
	var e *UpgradeError
	if !errors.As(err, &e) {
		return err
	}
	told := &fault.Error{
		Op: "start", What: image, Err: err,
		Why: fmt.Sprintf("in %s/heptapod/data lie %s", f.cfg.Data, e),
	}
	switch first := e.Data.carries().release; {
	case len(e.Path) > 0:
		steps := make([]string, len(e.Path)-1)
		for i, v := range e.Path[:len(steps)] {
			steps[i] = v.In(image)
		}
		told.Remedy = "Nothing was stopped. Name one after the other under heptapod.image, always with the newest patch, each with a backup before, 'hepta up', and time for its background migrations to end: " +
			strings.Join(append(steps, image), ", ") + "."
		if e.To.Heptapod && first.before(documentedFrom) {
			told.Remedy += " From before 0.19 Heptapod's makers ask to be written to first: https://heptapod.net/pages/upgrade"
		}
	case e.To.carries().release.before(first) || e.To.carries().release == first:
		told.Remedy = "Nothing was stopped. Name an image of GitLab " + e.Data.String() + " or newer under heptapod.image. What ran before can be had again only from a backup that was made with it."
	default:
		told.Remedy = "Nothing was stopped. Name another image under heptapod.image."
	}
	return told
}

// Package ci writes pipelines that build images: a .gitlab-ci.yml for a way
// of working and for the mode of the runner that does the work, and a
// Dockerfile to begin with. It computes, and writes files; it contacts nothing.
package ci

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/jobmode"
	"github.com/heptaup/hepta/internal/pattern"
)

// Mode is how the jobs of a runner build images, as in package runner.
type Mode = jobmode.Mode

// Pipeline says what the jobs do.
type Pipeline string

// The pipelines.
const (
	Build   Pipeline = "build"   // an image at every push
	Test    Pipeline = "test"    // one image a commit: built once, tested beside a database, then released
	Publish Pipeline = "publish" // an image for every tag, named after it
)

// Pipelines are all of them; the first is the default.
func Pipelines() []Pipeline { return []Pipeline{Build, Test, Publish} }

// Modes are those of runners whose jobs build images.
func Modes() []Mode { return []Mode{jobmode.Dind, jobmode.Socket, jobmode.Rootless} }

// The images that the pipelines name, apart from those that are the defaults
// of runners.
const (
	DatabaseImage = "postgres:17.6-alpine3.22" // beside which Test tests
	BaseImage     = "alpine:3.22.2"            // that the Dockerfile begins with
)

// The names of the files.
const (
	PipelineFile = ".gitlab-ci.yml"
	Dockerfile   = "Dockerfile"
)

// Draft is what a new pipeline needs to know.
type Draft struct {
	Pipeline Pipeline // default Build
	Mode     Mode     // of the runner that takes the jobs; required, one of Modes
	Tags     []string // of that runner; nil: one, named after the mode
}

//go:embed templates
var templates embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{"list": yamlList}).ParseFS(templates, "templates/*"))

// YAML is the draft as a commented .gitlab-ci.yml. What is wrong with the draft
// is a *fault.Error.
func (d Draft) YAML() ([]byte, error) {
	d, err := d.whole()
	if err != nil {
		return nil, err
	}
	return execute(string(d.Pipeline)+".yml", map[string]any{
		"Mode": string(d.Mode), "Tags": d.Tags, "Docker": d.Mode != jobmode.Rootless,
		"Dind": d.Mode == jobmode.Dind, "Socket": d.Mode == jobmode.Socket,
		"JobImage": jobmode.Image, "DindImage": jobmode.DindImage, "BuildKitImage": jobmode.BuildKitImage, "BuildahImage": jobmode.RootlessImage,
		"DatabaseImage": DatabaseImage,
	})
}

// Dockerfile is one to begin with, for a repository that has none.
func (d Draft) Dockerfile() ([]byte, error) {
	return execute(Dockerfile, map[string]any{"BaseImage": BaseImage})
}

func execute(name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n'), nil
}

// whole fills in the defaults and refuses what makes no pipeline.
func (d Draft) whole() (Draft, error) {
	refuse := func(what, why, remedy string) (Draft, error) {
		return d, &fault.Error{Op: "draft", What: what, Why: why, Remedy: remedy}
	}
	if d.Pipeline == "" {
		d.Pipeline = Build
	}
	if !slices.Contains(Pipelines(), d.Pipeline) {
		return refuse("pipeline "+strconv.Quote(string(d.Pipeline)), "there is no such pipeline", "Pipelines: "+join(Pipelines())+".")
	}
	switch {
	case d.Mode == jobmode.Plain:
		return refuse("pipeline of mode plain", "its jobs build no images", "Use a runner of mode "+join(Modes())+".")
	case d.Mode == "":
		return refuse("pipeline", "the mode is missing", "Name that of the runner that takes the jobs: "+join(Modes())+".")
	case !slices.Contains(Modes(), d.Mode):
		return refuse("pipeline of mode "+strconv.Quote(string(d.Mode)), "there is no such mode", "Modes: "+join(Modes())+".")
	}
	if d.Tags == nil {
		d.Tags = []string{string(d.Mode)}
	}
	for _, tag := range d.Tags {
		if strings.TrimSpace(tag) != tag || tag == "" || strings.ContainsRune(tag, ',') || strings.ContainsFunc(tag, unicode.IsControl) || !utf8.ValidString(tag) {
			return refuse("pipeline for tag "+strconv.Quote(tag), "this is no tag of a runner", "Give each tag as a value of its own.")
		}
	}
	return d, nil
}

func join[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, x := range list {
		texts[i] = string(x)
	}
	return strings.Join(texts, ", ")
}

var plainWord = pattern.New(`^[A-Za-z][A-Za-z0-9_.-]*$`)

// yamlList writes texts as a list on one line. Words that YAML reads as
// something else than text are quoted.
func yamlList(list []string) string {
	out := make([]string, len(list))
	for i, text := range list {
		out[i] = text
		switch strings.ToLower(text) {
		case "true", "false", "yes", "no", "on", "off", "null", "y", "n":
			out[i] = strconv.Quote(text)
		default:
			if !plainWord().MatchString(text) {
				out[i] = strconv.Quote(text)
			}
		}
	}
	return "[" + strings.Join(out, ", ") + "]"
}

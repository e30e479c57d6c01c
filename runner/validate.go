package runner

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
	"github.com/heptaup/hepta/internal/pki"
	"github.com/heptaup/hepta/internal/runnername"
)

var (
	stackName = pattern.New(`^[a-z0-9][a-z0-9_.-]{0,62}$`)
	envPair   = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*=`)
)

// problems collects what is wrong with a configuration.
type problems []error

// add notes what is wrong with a key. No value of a secret may be among args.
func (p *problems) add(key, remedy, format string, args ...any) {
	*p = append(*p, &fault.Error{
		Op: "read configuration", What: key,
		Why: fmt.Sprintf(format, args...), Remedy: key + ": " + remedy + ".",
	})
}

// Validate says everything that is wrong with the configuration at once, each
// with the key that it is about. It looks at nothing but cfg.
func (cfg Config) Validate() error {
	var p problems
	if cfg.Stack != "" && !stackName().MatchString(cfg.Stack) {
		p.add("stack", "use lower case letters, digits and -, as in hepta", "%q is no stack name", cfg.Stack)
	}
	if cfg.Data != "" && (!path.IsAbs(cfg.Data) || path.Clean(cfg.Data) == "/") {
		p.add("data", "name a directory of the Docker host, as in /srv/hepta", "%q is no absolute directory", cfg.Data)
	}
	p.image("runner.image", cfg.Image)
	p.image("runner.helper_image", cfg.HelperImage)
	p.environment("runner", cfg.Environment)
	p.atLeast("runner.concurrent", cfg.Concurrent, 0)
	p.atLeast("runner.check_interval", cfg.CheckInterval, 0)
	p.atLeast("runner.drain_seconds", cfg.DrainSeconds, 0)
	if cfg.CAFile != "" && (path.Clean(cfg.CAFile) != cfg.CAFile || path.IsAbs(cfg.CAFile) || path.Dir(cfg.CAFile) == "." || strings.HasPrefix(cfg.CAFile, "..")) {
		p.add("ca_file", "put the file into a directory of its own below data, as in ca/ca.crt", "%q is no file in a directory below data", cfg.CAFile)
	}
	for k := range cfg.Labels {
		if strings.HasPrefix(k, converge.LabelPrefix) {
			p.add("runner.labels."+k, "choose another name", "names that begin with %s are hepta's own", converge.LabelPrefix)
		}
	}
	p.forge(cfg)
	seen := map[string]bool{}
	for i, r := range cfg.Runners {
		at := fmt.Sprintf("runners[%s]", r.Name)
		switch {
		case runnername.Wrong(r.Name) != "":
			at = fmt.Sprintf("runners[%d]", i)
			p.add(at+".name", "write it as the forge shall show it, as in dind or My Runner", "%q %s", r.Name, runnername.Wrong(r.Name))
		case seen[r.Name]:
			p.add(at+".name", "give each runner a name of its own", "there are two runners of this name")
		}
		seen[r.Name] = true
		p.keys(at, r)
		r, _ = r.withKeys()
		r.Mode = cmp.Or(r.Mode, Plain)
		p.runner(at, r)
		p.mode(at, r)
		p.doubles(at, cfg, r)
	}
	return errors.Join(p...)
}

func (p *problems) image(key, image string) {
	if image == "" {
		return
	}
	if _, err := reference.ParseNormalizedNamed(image); err != nil {
		p.add(key, "write it as in "+DefaultImage, "%q is no image reference", image)
	}
}

func (p *problems) atLeast(key string, n, least int) {
	if n < least {
		p.add(key, "leave it out for the default", "%d is less than %d", n, least)
	}
}

func (p *problems) url(key, text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		p.add(key, "write it as in https://hg.example.org", "this is no http or https address")
	case u.User != nil:
		p.add(key, "leave user and password out of it", "an address may not hold a password")
	case u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1":
		p.add(key, "use a name or an address that jobs reach too", "inside a job's containers %s is the container itself", u.Hostname())
	}
}

func (p *problems) forge(cfg Config) {
	needed := slices.ContainsFunc(cfg.Runners, func(r Runner) bool { return r.URL == "" })
	switch {
	case cfg.Forge.URL != "":
		p.url("forge.url", cfg.Forge.URL)
	case needed:
		p.add("forge.url", "write it as in https://hg.example.org", "the address of the forge is missing")
	}
	if strings.HasPrefix(cfg.Forge.Token.Reveal(), "glrt-") {
		p.add("forge.token", "give it to that runner, as runners[].forge.token_file", "a token that begins with glrt- is the one of a runner that is made already")
	}
	var given *pki.GivenError
	if _, err := pki.Authorities(cfg.CA); len(cfg.CA) > 0 && errors.As(err, &given) {
		p.add("runner.ca", given.Remedy, "%s", given.Why)
	}
}

func (p *problems) runner(at string, r Runner) {
	if r.RunUntagged != nil && !*r.RunUntagged && len(r.Tags) == 0 {
		p.add(at+".tags", "name a tag, or leave run_untagged out", "a runner without tags that takes no untagged jobs would never work")
	}
	for i, tag := range r.Tags {
		if strings.TrimSpace(tag) != tag || tag == "" || strings.Contains(tag, ",") {
			p.add(fmt.Sprintf("%s.tags[%d]", at, i), "write each tag as an entry of its own", "%q is no tag", tag)
		}
	}
	if r.MaximumTimeout != 0 && r.MaximumTimeout < 600 {
		p.add(at+".maximum_timeout", "give at least 600, or leave it out for the project's own", "%d seconds are less than the forge allows", r.MaximumTimeout)
	}
	if !slices.Contains([]string{"", "not_protected", "ref_protected"}, r.AccessLevel) {
		p.add(at+".access_level", "write not_protected or ref_protected", "%q is no access level", r.AccessLevel)
	}
	p.atLeast(at+".concurrent", r.Concurrent, 0)
	p.image(at+".image", r.Image)
	p.image(at+".dind_image", r.DindImage)
	if r.Group != 0 && r.Project != 0 {
		p.add(at+".group", "leave one of them out", "a runner belongs to a group or to a project")
	}
	if r.URL != "" {
		p.url(at+".forge.url", r.URL)
		if r.Token.Empty() {
			p.add(at+".forge.token", "make the runner in that forge and give its token (glrt-…)", "a runner of another forge needs a token that was made there")
		}
	}
	p.allowed(at, "allowed_images", r.AllowedImages)
	p.allowed(at, "allowed_services", r.AllowedServices)
	p.environment(at, r.Environment)
}

func (p *problems) environment(at string, env []string) {
	for i, pair := range env {
		if !envPair().MatchString(pair) {
			p.add(fmt.Sprintf("%s.environment[%d]", at, i), "write NAME=value", "this is no variable with a value")
		}
	}
}

// allowed checks the patterns of the images that jobs may name.
func (p *problems) allowed(at, key string, patterns []string) {
	for i, pattern := range patterns {
		_, err := path.Match(pattern, "")
		if err != nil || pattern == "" || strings.ContainsAny(pattern, " \t\n") {
			p.add(fmt.Sprintf("%s.%s[%d]", at, key, i), `write a pattern as in "docker:*"`, "%q is no pattern of images", pattern)
		}
	}
}

func (p *problems) mode(at string, r Runner) {
	switch r.Mode {
	case Dind, Socket, Rootless, Plain:
	default:
		p.add(at+".mode", "write dind, socket, rootless or plain", "there is no mode %q", r.Mode)
	}
	if r.DindImage != "" && r.Mode != Dind {
		p.add(at+".dind_image", "set mode: dind, or leave it out", "mode %s runs no Docker daemon beside a job", r.Mode)
	}
	p.buildCache(at, r)
	if r.TLS != nil && r.Mode != Dind {
		p.add(at+".tls", "set mode: dind, or leave it out", "mode %s runs no Docker daemon beside a job", r.Mode)
	}
	if r.Mode == Rootless {
		if on, _ := r.Docker["privileged"].(bool); on {
			p.add(at+".docker.privileged", "leave it out, or set mode: dind", "a rootless runner gives no privileges")
		}
	}
	for i, v := range stringList(r.Docker["volumes"]) {
		parts := strings.Split(v, ":")
		if len(parts) < 2 || parts[1] != "/var/run/docker.sock" && parts[1] != "/run/docker.sock" {
			continue
		}
		if r.Mode == Dind {
			p.add(fmt.Sprintf("%s.docker.volumes[%d]", at, i), "make a second runner with mode: socket for that",
				"services get the volumes of the job: the host's socket would hide the one of the job's own daemon")
		}
	}
	if r.Mode == Socket {
		if on, _ := r.Docker["privileged"].(bool); on {
			p.add(at+".docker.privileged", "leave it out", "with the host's socket a job needs no privileges")
		}
		for i, image := range serviceImages(r.Docker["services"]) {
			if strings.Contains(image, "dind") {
				p.add(fmt.Sprintf("%s.docker.services[%d]", at, i), "make a second runner with mode: dind for that",
					"the host's socket would hide the one of %s", image)
			}
		}
	}
}

func serviceImages(v any) []string {
	list, _ := v.([]any)
	out := make([]string, len(list))
	for i := range list {
		if table, ok := list[i].(map[string]any); ok {
			out[i], _ = table["name"].(string)
		}
	}
	return out
}

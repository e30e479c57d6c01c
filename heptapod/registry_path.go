package heptapod

import (
	"cmp"
	"fmt"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/pattern"
)

// defaultRegistryPath is where the image keeps the images of its registry.
const defaultRegistryPath = "/var/opt/gitlab/gitlab-rails/shared/registry"

// registryPathLine is the setting in a gitlab.rb, as hepta and as people write it.
var registryPathLine = pattern.New(`(?m)^[ \t]*gitlab_rails\[(?:'registry_path'|"registry_path")\][ \t]*=[ \t]*(?:'([^'\\\n]*)'|"([^"\\#\n]*)")`)

// registryPathOf is the directory of the registry's images that a gitlab.rb
// names last, "" when it names none.
func registryPathOf(gitlabRB string) string {
	dir := ""
	for _, m := range registryPathLine().FindAllStringSubmatch(gitlabRB, -1) {
		dir = cmp.Or(m[1], m[2])
	}
	return dir
}

// registryPath refuses a directory that goes with the container.
func (p *problems) registryPath(key, dir string, cfg Config) {
	if dir == "" || cfg.keeps(dir) {
		return
	}
	p.add(key, "%s is in no volume: every image in it would be lost with the container",
		fmt.Sprintf("name a directory below %s, or mount one of the Docker host there, as in heptapod: {volumes: [\"/mnt/images:%s\"]}", dataMount, dir), dir)
}

// warnRegistryPath tells that images which are there will not be found.
func (f *Forge) warnRegistryPath(o *converge.Observed) []string {
	if f.cfg.Registry == nil {
		return nil
	}
	now, err := GitlabRB(f.cfg)
	seen := o.Files[FileGitlabRB]
	if err != nil || !seen.Exists || !registryOn().Match(seen.Content) {
		return nil
	}
	was, is := cmp.Or(registryPathOf(string(seen.Content)), defaultRegistryPath), cmp.Or(registryPathOf(now), defaultRegistryPath)
	if was == is {
		return nil
	}
	return []string{fmt.Sprintf("the registry's directory changes from %s to %s: images that were pushed so far stay in the old one and are not found until they are copied. "+
		"Once this is done: hepta exec heptapod -- cp -an %[1]s/. %[2]s", was, is)}
}

// registryOn finds a registry in a gitlab.rb that hepta has written.
var registryOn = pattern.New(`(?m)^registry_external_url `)

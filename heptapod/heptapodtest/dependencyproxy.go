package heptapodtest

import (
	"net"
	"net/url"
	"strings"

	"github.com/heptaup/hepta/internal/ci"
)

// dependencyProxy ends the address of a group's dependency proxy.
const dependencyProxy = "/dependency_proxy/containers"

// portOf is the port of an address, also where it is the usual one.
func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// hostWithPort is host:port of the forge, as variables of the dependency proxy
// have it.
func (s *Server) hostWithPort() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return s.host()
	}
	return net.JoinHostPort(u.Hostname(), portOf(u))
}

// dependencyProxyWarnings tell of jobs with images of a dependency proxy that is
// not there: a runner would get a name that begins with a slash.
func (s *Server) dependencyProxyWarnings(jobs []ci.Job) []string {
	if s.cfg.DependencyProxy {
		return nil
	}
	var list []string
	for _, j := range jobs {
		images := j.Services
		if j.Image != nil {
			images = append(images[:len(images):len(images)], *j.Image)
		}
		for _, i := range images {
			if strings.Contains(i.Name, "CI_DEPENDENCY_PROXY_") {
				list = append(list, "jobs:"+j.Name+" takes an image from a dependency proxy: there is none here, and variables CI_DEPENDENCY_PROXY_* are not set")
				break
			}
		}
	}
	return list
}

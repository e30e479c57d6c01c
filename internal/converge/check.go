package converge

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// MaxHostname is the most characters that the kernel takes as the host name of
// a container (HOST_NAME_MAX).
const MaxHostname = 64

// IsNetworkMode reports whether the Engine takes a name as a way to be on the
// network, not as one of the networks on which containers find each other.
func IsNetworkMode(name string) bool {
	return slices.Contains([]string{DefaultNetwork, "default", "host", "none"}, name)
}

// check finds what makes a stack impossible whatever is on the host.
func (s *Stack) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Name == "" {
		fail("stack has no name")
	}
	refs := make(map[Ref]bool)
	claim := func(r Ref) {
		if refs[r] {
			fail("%s is described twice", r)
		}
		refs[r] = true
	}
	for _, n := range s.Networks {
		claim(Ref("network:" + n.Name))
		if IsNetworkMode(n.Name) {
			fail("network %s is a network mode of the Engine", n.Name)
		}
	}
	for _, v := range s.Volumes {
		claim(Ref("volume:" + v.Name))
	}
	for _, f := range s.Files {
		claim(f.ref())
		if err := f.check(s.Data); err != nil {
			errs = append(errs, err)
		}
	}
	names, ports := make(map[string]string), make([]claimedPort, 0)
	for _, c := range s.Containers {
		claim(c.ref())
		if other, taken := names[c.Name]; taken {
			fail("services %s and %s have the same container name %s", other, c.Service, c.Name)
		}
		names[c.Name] = c.Service
		if n := len(c.Hostname); n > MaxHostname {
			fail("service %s: its host name has %d characters, more than %d", c.Service, n, MaxHostname)
		}
		for _, p := range c.Ports {
			for _, q := range ports {
				if q.port.Overlaps(p) {
					fail("services %s and %s both want port %s", q.service, c.Service, p)
				}
			}
			ports = append(ports, claimedPort{p, c.Service})
		}
		for k := range c.Labels {
			if strings.HasPrefix(k, LabelPrefix) {
				fail("service %s: label %s: names that begin with %s are hepta's own", c.Service, k, LabelPrefix)
			}
		}
		if s.Data == "" && (c.NeedsProof || slices.ContainsFunc(c.Cmd, func(a string) bool { return strings.Contains(a, ProofPlaceholder) })) {
			fail("service %s: its proof needs a data directory", c.Service)
		}
		for _, a := range c.Networks {
			if !refs[Ref("network:"+a.Network)] {
				fail("service %s: network %s is not described", c.Service, a.Network)
			}
		}
		for _, m := range c.Mounts {
			if m.Kind == VolumeKind && !refs[Ref("volume:"+m.Source)] {
				fail("service %s: volume %s is not described", c.Service, m.Source)
			}
		}
		for _, p := range c.RecreateOn {
			if !refs[Ref("file:"+p)] {
				fail("service %s: file %s is not described", c.Service, p)
			}
			if f := s.File(p); f != nil && f.Secret && !refs[Ref("file:"+keyPath(p))] {
				fail("service %s: the secret file %s has no KeyFile", c.Service, p)
			}
		}
	}
	for _, c := range s.Containers {
		errs = append(errs, missing("service "+c.Service, c.After, refs)...)
	}
	for _, f := range s.Files {
		errs = append(errs, missing("file "+f.Path, f.After, refs)...)
		if f.Apply != nil && !refs[Ref("container:"+f.Apply.Service)] {
			fail("file %s: service %s is not described", f.Path, f.Apply.Service)
		}
	}
	return errors.Join(errs...)
}

type claimedPort struct {
	port    Port
	service string
}

// missing finds references to what is not described. Tasks come and go.
func missing(who string, list []Ref, refs map[Ref]bool) []error {
	var errs []error
	for _, r := range list {
		if !refs[r] && !strings.HasPrefix(string(r), "task:") {
			errs = append(errs, fmt.Errorf("%s waits for %s, which is not described", who, r))
		}
	}
	return errs
}

// hostFiles is the only place outside the data directory that files go to.
const hostFiles = "/etc/docker"

func (f File) check(data string) error {
	if f.Path == "" || path.Clean(f.Path) != f.Path || f.Path == ".." || strings.HasPrefix(f.Path, "../") {
		return fmt.Errorf("file %q: its path is not a clean one below the data directory", f.Path)
	}
	if f.absolute() && !strings.HasPrefix(f.Path, hostFiles+"/") {
		return fmt.Errorf("file %s: outside the data directory only %s is written", f.Path, hostFiles)
	}
	if !f.absolute() && !path.IsAbs(data) {
		return fmt.Errorf("file %s: the data directory %q is not an absolute path", f.Path, data)
	}
	if f.Once && f.Existing {
		return fmt.Errorf("file %s: once and existing exclude each other", f.Path)
	}
	if f.Once && f.Merge != nil {
		return fmt.Errorf("file %s: once and merge exclude each other", f.Path)
	}
	return nil
}

func (f File) absolute() bool { return path.IsAbs(f.Path) }

func (f File) ref() Ref      { return Ref("file:" + f.Path) }
func (c Container) ref() Ref { return Ref("container:" + c.Service) }

// HostPath is where a mount comes from on the Engine's host; "" for a volume.
func (s *Stack) HostPath(m Mount) string {
	switch m.Kind {
	case Data:
		return path.Join(s.Data, m.Source)
	case HostPath:
		return path.Clean(m.Source)
	}
	return ""
}

// FilePath is where a file lies on the Engine's host.
func (s *Stack) FilePath(p string) string {
	if path.IsAbs(p) {
		return path.Clean(p)
	}
	return path.Join(s.Data, p)
}

// Shows reports whether the container sees the file, and where.
func (s *Stack) Shows(c *Container, file string) (inside string, ok bool) {
	host := s.FilePath(file)
	best := ""
	for _, m := range c.Mounts {
		source := s.HostPath(m)
		if source == "" || len(source) < len(best) {
			continue
		}
		if host == source {
			best, inside, ok = source, m.Target, true
		} else if rest, below := strings.CutPrefix(host, strings.TrimSuffix(source, "/")+"/"); below {
			best, inside, ok = source, path.Join(m.Target, rest), true
		}
	}
	return inside, ok
}

// Overlaps reports whether two published ports cannot be had at once.
func (p Port) Overlaps(q Port) bool {
	p, q = p.canonical(), q.canonical()
	anywhere := func(ip string) bool { return slices.Contains([]string{"", "0.0.0.0", "::"}, ip) }
	return p.Host == q.Host && p.Host != 0 && p.Proto == q.Proto &&
		(p.HostIP == q.HostIP || anywhere(p.HostIP) || anywhere(q.HostIP))
}

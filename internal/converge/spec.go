package converge

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/distribution/reference"
)

// canonical is c with everything whose order means nothing in one order, so
// that equal containers have equal JSON.
func (c Container) canonical() Container {
	c.Env = sorted(c.Env)
	c.ExtraHosts = sorted(c.ExtraHosts)
	c.CapAdd = sorted(c.CapAdd)
	c.CapDrop = sorted(c.CapDrop)
	c.Tmpfs = sorted(c.Tmpfs)
	c.SecurityOpt = sorted(c.SecurityOpt)
	if len(c.Labels) == 0 {
		c.Labels = nil
	}
	c.Mounts = slices.Clone(c.Mounts)
	slices.SortStableFunc(c.Mounts, func(a, b Mount) int { return cmp.Compare(a.Target, b.Target) })
	c.Networks = slices.Clone(c.Networks)
	for i := range c.Networks {
		c.Networks[i].Aliases = sorted(c.Networks[i].Aliases)
	}
	slices.SortStableFunc(c.Networks, func(a, b Attachment) int { return cmp.Compare(a.Network, b.Network) })
	c.Ports = slices.Clone(c.Ports)
	for i := range c.Ports {
		c.Ports[i] = c.Ports[i].canonical()
	}
	slices.SortFunc(c.Ports, comparePorts)
	return c
}

func (p Port) canonical() Port {
	if p.Proto == "tcp" {
		p.Proto = ""
	}
	return p
}

func comparePorts(a, b Port) int {
	return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Proto, b.Proto),
		cmp.Compare(a.Host, b.Host), cmp.Compare(a.HostIP, b.HostIP))
}

func sorted(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// Spec is the canonical JSON of c, the value of LabelSpec. Equal containers
// give equal bytes, and a field at its zero value is not in it.
func (c Container) Spec() string {
	b, err := json.Marshal(c.canonical())
	if err != nil { // plain data: there is nothing that cannot be marshalled
		panic(err)
	}
	return string(b)
}

// parseSpec reads a LabelSpec of this or an older release; what a newer one
// knows beyond that is ignored.
func parseSpec(label string) (Container, error) {
	var c Container
	if err := json.Unmarshal([]byte(label), &c); err != nil {
		return Container{}, err
	}
	return c.canonical(), nil
}

// Hash is the value of a LabelFile label for content.
func Hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// NormalizeImage gives the one long form of an image reference, the key of
// Observed.Images: traefik:v3.6 is docker.io/library/traefik:v3.6. What is no
// reference, such as a bare image id, comes back as it is.
func NormalizeImage(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return ref
	}
	return reference.TagNameOnly(named).String()
}

// ImageID is the id of the local image that ref names.
func (o *Observed) ImageID(ref string) (string, bool) {
	if id, ok := o.Images[NormalizeImage(ref)]; ok {
		return id, true
	}
	// name:tag@digest is listed as name@digest.
	if named, err := reference.ParseNormalizedNamed(ref); err == nil {
		if d, ok := named.(reference.Digested); ok {
			id, ok := o.Images[named.Name()+"@"+d.Digest().String()]
			return id, ok
		}
	}
	for _, id := range o.Images {
		if id == ref {
			return id, true
		}
	}
	return "", false
}

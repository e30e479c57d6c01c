package registry

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
)

// PullSecret is what Kubernetes needs to pull from the registry: a Secret of
// the type kubernetes.io/dockerconfigjson, one a namespace.
type PullSecret struct {
	Name        string   // of the Secret; default "regcred"
	Namespaces  []string // default one, "default"
	Host        string   // of the registry, as images name it
	Credentials Credentials
	// Flux adds what Flux scans the registry with, in the first of Namespaces.
	Flux *Flux
	// UnknownAuthority says that no public authority has signed the
	// registry's certificate, Insecure that it has none: the comments tell what
	// the nodes need then.
	UnknownAuthority, Insecure bool
}

// Flux describes an ImageRepository and an ImagePolicy of Flux,
// image.toolkit.fluxcd.io/v1. One of Semver, Numerical and Alphabetical says
// which tag is the latest; without any it is Semver.
type Flux struct {
	Name     string // of both; default the last part of Image
	Image    string // below the registry's host, without a tag: group/project
	Interval string // between scans; default "5m"
	Insecure bool   // the registry has no TLS

	Semver       string // range of versions; default ">=0.0.0"
	Numerical    string // asc or desc
	Alphabetical string // asc or desc
	// Pattern picks tags by a regular expression, and Extract what of them is
	// compared: "$ts" for (?P<ts>[0-9]+).
	Pattern, Extract string
}

const defaultSemver = ">=0.0.0"

var (
	// Compiled when it is first needed: its repetitions take a while.
	kubernetesName  = pattern.New(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
	kubernetesSpace = pattern.New(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	kubernetesSpan  = pattern.New(`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`)
	repositoryPath  = pattern.New(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
)

// The manifests, in the order in which people read them.
type (
	manifestMeta struct {
		Name      string `yaml:"name"`
		Namespace string `yaml:"namespace"`
	}
	manifestHead struct {
		APIVersion string       `yaml:"apiVersion"`
		Kind       string       `yaml:"kind"`
		Metadata   manifestMeta `yaml:"metadata"`
	}
	secretManifest struct {
		manifestHead `yaml:",inline"`
		Type         string            `yaml:"type"`
		Data         map[string]string `yaml:"data"`
	}
	objectRef struct {
		Name string `yaml:"name"`
	}
	repositoryManifest struct {
		manifestHead `yaml:",inline"`
		Spec         repositorySpec `yaml:"spec"`
	}
	repositorySpec struct {
		Image     string    `yaml:"image"`
		Interval  string    `yaml:"interval"`
		Insecure  bool      `yaml:"insecure,omitempty"`
		SecretRef objectRef `yaml:"secretRef"`
	}
	policyManifest struct {
		manifestHead `yaml:",inline"`
		Spec         policySpec `yaml:"spec"`
	}
	policySpec struct {
		Repository objectRef   `yaml:"imageRepositoryRef"`
		Filter     *filterSpec `yaml:"filterTags,omitempty"`
		Policy     choiceSpec  `yaml:"policy"`
	}
	filterSpec struct {
		Pattern string `yaml:"pattern"`
		Extract string `yaml:"extract,omitempty"`
	}
	choiceSpec struct {
		Semver       *semverSpec `yaml:"semver,omitempty"`
		Numerical    *orderSpec  `yaml:"numerical,omitempty"`
		Alphabetical *orderSpec  `yaml:"alphabetical,omitempty"`
	}
	semverSpec struct {
		Range string `yaml:"range"`
	}
	orderSpec struct {
		Order string `yaml:"order"`
	}
)

const fluxVersion = "image.toolkit.fluxcd.io/v1"

// YAML is the manifests for kubectl apply. It holds the password, in base64:
// who may read it may pull.
func (p PullSecret) YAML() ([]byte, error) {
	p = p.withDefaults()
	if err := p.validate(); err != nil {
		return nil, err
	}
	data, err := p.dockerConfig()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	write := func(manifest any) {
		if err == nil {
			err = enc.Encode(manifest)
		}
	}
	for _, namespace := range p.Namespaces {
		write(secretManifest{
			manifestHead: manifestHead{"v1", "Secret", manifestMeta{p.Name, namespace}},
			Type:         "kubernetes.io/dockerconfigjson",
			Data:         map[string]string{".dockerconfigjson": base64.StdEncoding.EncodeToString(data)},
		})
	}
	if f := p.Flux; f != nil {
		meta := manifestMeta{f.Name, p.Namespaces[0]}
		write(repositoryManifest{
			manifestHead: manifestHead{fluxVersion, "ImageRepository", meta},
			Spec:         repositorySpec{p.Host + "/" + f.Image, f.Interval, f.Insecure, objectRef{p.Name}},
		})
		write(policyManifest{manifestHead{fluxVersion, "ImagePolicy", meta}, f.policy()})
	}
	if err == nil {
		err = enc.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("write manifests: %w", err)
	}
	out.WriteString(p.notes())
	return out.Bytes(), nil
}

// notes are comments on what to do besides: who names the Secret, and what
// pulls on a node has to know of the registry.
func (p PullSecret) notes() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#\n# Pods that pull name it in their spec:\n#   imagePullSecrets: [{name: %s}]\n# or their service account does, for all its pods:\n", p.Name)
	for _, n := range p.Namespaces {
		fmt.Fprintf(&b, "#   kubectl patch serviceaccount default --namespace %s --patch '{\"imagePullSecrets\": [{\"name\": \"%s\"}]}'\n", n, p.Name)
	}
	switch {
	case p.UnknownAuthority:
		fmt.Fprintf(&b, `#
# The registry's certificate is of an authority that is no public one. No Secret
# changes that: on each node the container runtime pulls for the kubelet, and needs its ca.crt.
#   containerd: /etc/containerd/certs.d/%[1]s/hosts.toml with
#                 server = "https://%[1]s"
#                 [host."https://%[1]s"]
#                   ca = "/etc/containerd/certs.d/%[1]s/ca.crt"
#               where config.toml has config_path = "/etc/containerd/certs.d"
#   CRI-O:      /etc/containers/certs.d/%[1]s/ca.crt
#   k3s, RKE2:  /etc/rancher/k3s/registries.yaml (rke2/): configs: {"%[1]s": {tls: {ca_file: /path/of/ca.crt}}}
`, p.Host)
	case p.Insecure:
		fmt.Fprintf(&b, `#
# The registry has no TLS, which the container runtime of each node has to be told.
#   containerd: /etc/containerd/certs.d/%[1]s/hosts.toml with
#                 server = "http://%[1]s"
#               where config.toml has config_path = "/etc/containerd/certs.d"
#   CRI-O:      /etc/containers/registries.conf: [[registry]] location = "%[1]s", insecure = true
#   k3s, RKE2:  /etc/rancher/k3s/registries.yaml (rke2/): mirrors: {"%[1]s": {endpoint: ["http://%[1]s"]}}
`, p.Host)
	}
	return b.String()
}

// dockerConfig is the configuration of a Docker client that can log in.
func (p PullSecret) dockerConfig() ([]byte, error) {
	type entry struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Auth     string `json:"auth"`
	}
	user, password := p.Credentials.User, p.Credentials.Password.Reveal()
	data, err := json.Marshal(map[string]map[string]entry{"auths": {
		p.Host: {user, password, base64.StdEncoding.EncodeToString([]byte(user + ":" + password))},
	}})
	if err != nil {
		return nil, fmt.Errorf("write docker configuration: %w", err)
	}
	return data, nil
}

func (f *Flux) policy() policySpec {
	s := policySpec{Repository: objectRef{f.Name}}
	if f.Pattern != "" {
		s.Filter = &filterSpec{f.Pattern, f.Extract}
	}
	switch {
	case f.Numerical != "":
		s.Policy.Numerical = &orderSpec{f.Numerical}
	case f.Alphabetical != "":
		s.Policy.Alphabetical = &orderSpec{f.Alphabetical}
	default:
		s.Policy.Semver = &semverSpec{f.Semver}
	}
	return s
}

func (p PullSecret) withDefaults() PullSecret {
	if p.Name == "" {
		p.Name = "regcred"
	}
	if len(p.Namespaces) == 0 {
		p.Namespaces = []string{"default"}
	}
	if p.Flux != nil {
		f := *p.Flux
		if f.Name == "" {
			f.Name = nameOf(f.Image)
		}
		if f.Interval == "" {
			f.Interval = "5m"
		}
		if f.Semver == "" && f.Numerical == "" && f.Alphabetical == "" {
			f.Semver = defaultSemver
		}
		p.Flux = &f
	}
	return p
}

// validate says what Kubernetes or Flux would refuse.
func (p PullSecret) validate() error {
	refuse := func(what, value, why string) error {
		return &fault.Error{Op: "write pull secret: " + what, What: value, Why: why}
	}
	switch {
	case p.Host == "":
		return refuse("registry", "", "there is none")
	case p.Credentials.User == "" || p.Credentials.Password.Empty():
		return refuse("credentials", "", "user or password is missing")
	case !kubernetesName().MatchString(p.Name):
		return refuse("name", p.Name, "it is not a name in Kubernetes")
	}
	for _, n := range p.Namespaces {
		if !kubernetesSpace().MatchString(n) {
			return refuse("namespace", n, "it is not the name of a namespace")
		}
	}
	f := p.Flux
	if f == nil {
		return nil
	}
	ways := 0
	for _, way := range []string{f.Semver, f.Numerical, f.Alphabetical} {
		if way != "" {
			ways++
		}
	}
	switch {
	case !repositoryPath().MatchString(f.Image):
		return refuse("image", f.Image, "it is not the path of a repository, such as group/project, in lower case and without a tag")
	case !kubernetesName().MatchString(f.Name):
		return refuse("name", f.Name, "it is not a name in Kubernetes")
	case !kubernetesSpan().MatchString(f.Interval):
		return refuse("interval", f.Interval, "it is not a duration such as 5m or 1h")
	case ways != 1:
		return refuse("policy of", f.Name, "semver, numerical and alphabetical exclude each other")
	case f.Extract != "" && f.Pattern == "":
		return refuse("extract", f.Extract, "without a pattern there is nothing to extract from")
	}
	for _, order := range []string{f.Numerical, f.Alphabetical} {
		if order != "" && order != "asc" && order != "desc" {
			return refuse("order", order, "it is neither asc nor desc")
		}
	}
	if _, err := regexp.Compile(f.Pattern); err != nil {
		return refuse("pattern", f.Pattern, err.Error())
	}
	return nil
}

// nameOf makes a name of Kubernetes from the last part of an image's path.
func nameOf(image string) string {
	last := []byte(image[bytes.LastIndexByte([]byte(image), '/')+1:])
	return string(bytes.ReplaceAll(last, []byte("_"), []byte("-")))
}

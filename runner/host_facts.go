package runner

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/converge"
)

// FileHost holds what a container of the runner's image has shown about the
// runner program and about the host on which jobs run.
const FileHost = "runner/host.json"

// refHost is the task that writes FileHost.
const refHost converge.Ref = "task:runner-host"

// Features of a runner program that hepta asks for before it uses them. Each is
// a word that the program contains when it has the feature; version numbers do
// not tell, since forks have their own.
const (
	featureNetworkPerBuild = "FF_NETWORK_PER_BUILD" // a network for each job, since 12.9
	featureFlags           = "feature_flags"        // feature flags in config.toml, which jobs cannot override, since 13.11
	featureNetworkMTU      = "network_mtu"          // the MTU of those networks, since 16.5
)

// inspectScript prints the features of the runner program, and the name servers
// that containers on the Engine's default network use. On a user-defined network
// a container's name server is the Engine at a loopback address, which what the
// container starts inside itself cannot reach.
const inspectScript = `program=$(command -v gitlab-runner)
for word in ` + featureNetworkPerBuild + " " + featureFlags + " " + featureNetworkMTU + `; do
	if grep -q "$word" "$program"; then echo "feature $word"; fi
done
cat /etc/resolv.conf
echo ` + inspectEnd + "\n"

// inspectEnd is the last line of a complete output of inspectScript.
const inspectEnd = "inspected"

// hostFacts is the content of FileHost.
type hostFacts struct {
	Image       string   `json:"image"` // of the runner that was inspected, by its configured name
	Features    []string `json:"features,omitempty"`
	NameServers []string `json:"name_servers,omitempty"`
}

func (f hostFacts) supports(feature string) bool { return slices.Contains(f.Features, feature) }

// factsFile is FileHost as a file that is observed, and that only its task
// writes.
func factsFile() converge.File {
	return converge.File{Path: FileHost, Mode: 0o644, Existing: true,
		Merge: converge.KeepContent}
}

// factsOf reads FileHost from a snapshot. A file that is not valid counts as
// empty; isKnown reports whether the snapshot shows the file's place at all.
func factsOf(o *converge.Observed) (f hostFacts, isKnown bool) {
	content, isKnown := seen(o, FileHost)
	if json.Unmarshal(content, &f) != nil {
		return hostFacts{}, isKnown
	}
	return f, isKnown
}

// facts are those that a task of this run has found, else those of the snapshot.
func (r *Runners) facts(o *converge.Observed) hostFacts {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.host != nil {
		return *r.host
	}
	f, _ := factsOf(o)
	return f
}

// hostTask inspects the runner's image and its host before any file is written
// that depends on them: for a new image name, and for each new container, since
// the name may stand for another image now.
func (r *Runners) hostTask(o *converge.Observed) []converge.Task {
	if len(r.cfg.Runners) == 0 || !r.cfg.JobNetworks {
		return nil
	}
	known, isKnown := factsOf(o)
	image, isLocal := o.ImageID(r.cfg.Image)
	// A container is started after config.toml is written, and that after this
	// task: one that was only created may be of an image that nobody inspected.
	stays := isLocal && slices.ContainsFunc(o.Containers, func(c converge.ObservedContainer) bool {
		return c.Service == Service && c.State != "created" && (c.ImageID == "" || c.ImageID == image)
	})
	cause := ""
	switch {
	case !isKnown:
		cause = converge.CauseUnseen
	case known.Image != r.cfg.Image:
		cause = "its runner image was not inspected yet"
	case !stays:
		cause = "the runner gets a new container"
	default:
		return nil
	}
	before := slices.Clone(written)
	for _, f := range r.hostFiles() {
		before = append(before, converge.Ref("file:"+f.Path))
	}
	return []converge.Task{{Name: "job host", Verb: "inspect", Cause: cause, Ref: refHost,
		After: []converge.Ref{"file:" + FileHost}, Before: before, Run: r.inspectHost}}
}

// inspectHost writes FileHost. An image without a shell counts as one whose
// program has none of the features.
func (r *Runners) inspectHost(ctx context.Context, host converge.Host) error {
	out, err := host.Run(ctx, converge.OneOff{Container: converge.Container{
		Name: r.cfg.Stack + "-runner-host", Image: r.cfg.Image, Entrypoint: []string{"sh"}, Cmd: []string{"-c", inspectScript},
		CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges:true"}}})
	hasNoShell := err != nil && strings.Contains(err.Error(), "executable file not found")
	if err == nil && !bytes.HasSuffix(bytes.TrimSpace(out), []byte(inspectEnd)) {
		err = fmt.Errorf("its container ended before it had printed everything: %q", out)
	}
	if err != nil && !hasNoShell {
		return fmt.Errorf("inspect the runner image %s: %w", r.cfg.Image, err)
	}
	f := parseFacts(out)
	f.Image = r.cfg.Image
	content, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", FileHost, err)
	}
	if err := host.WriteFile(ctx, FileHost, append(content, '\n'), 0o644, 0, 0); err != nil {
		return fmt.Errorf("write %s: %w", FileHost, err)
	}
	r.mu.Lock()
	r.host = &f
	r.mu.Unlock()
	return nil
}

// parseFacts reads the output of inspectScript. Name servers with IPv6 addresses
// count only where there are no others: job networks have no IPv6.
func parseFacts(out []byte) (f hostFacts) {
	var ipv6 []string
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		switch ip, err := netip.ParseAddr(fields[1]); {
		case fields[0] == "feature":
			f.Features = append(f.Features, fields[1])
		case fields[0] != "nameserver" || err != nil || ip.IsLoopback() || ip.Zone() != "":
		case ip.Is4():
			f.NameServers = append(f.NameServers, ip.String())
		default:
			ipv6 = append(ipv6, ip.String())
		}
	}
	if len(f.NameServers) == 0 {
		f.NameServers = ipv6
	}
	return f
}

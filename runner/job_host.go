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

// FileHost is what was seen, from inside a container, of the runner's program
// and of the host that its jobs run on.
const FileHost = "runner/host.json"

// refHost is the task that looks.
const refHost converge.Ref = "task:runner-host"

// What a runner's program has to know before it is told to use it. The words
// are looked for in the program itself, since forks count their versions in a
// way of their own.
const (
	knowsNetworks = "FF_NETWORK_PER_BUILD" // a network for each job, since 12.9
	knowsFlags    = "feature_flags"        // such flags in config.toml, which jobs cannot undo, since 13.11
	knowsMTU      = "network_mtu"          // the size of packets on those networks, since 16.5
)

// lookAtHost prints which words the program has, and whom containers ask for
// names on the Engine's default network: on one of its own a container asks the
// Engine, and what it starts inside itself cannot.
const lookAtHost = `program=$(command -v gitlab-runner)
for word in ` + knowsNetworks + " " + knowsFlags + " " + knowsMTU + `; do
	if grep -q "$word" "$program"; then echo "knows $word"; fi
done
cat /etc/resolv.conf
`

// hostFacts is the content of FileHost.
type hostFacts struct {
	Image       string   `json:"image"` // of the runner that was looked at, as it is named
	Knows       []string `json:"knows,omitempty"`
	NameServers []string `json:"name_servers,omitempty"`
}

// factsFile is FileHost as a file that a snapshot holds and nothing but the task
// writes.
func factsFile() converge.File {
	return converge.File{Path: FileHost, Mode: 0o644, Existing: true,
		Merge: func(_ *converge.Observed, current []byte) ([]byte, error) { return current, nil }}
}

// factsOf reads FileHost out of a snapshot.
func factsOf(o *converge.Observed) (f hostFacts, looked bool) {
	content, looked := seen(o, FileHost)
	if json.Unmarshal(content, &f) != nil { // as if nobody had looked
		return hostFacts{}, looked
	}
	return f, looked
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

// hostTask looks at the runner's program and its host before anything is
// written that goes by them: when nobody has, and with each new container.
func (r *Runners) hostTask(o *converge.Observed) []converge.Task {
	if len(r.cfg.Runners) == 0 {
		return nil
	}
	known, looked := factsOf(o)
	cause := ""
	image, local := o.ImageID(r.cfg.Image)
	stays := local && slices.ContainsFunc(o.Containers, func(c converge.ObservedContainer) bool {
		return c.Service == Service && (c.ImageID == "" || c.ImageID == image)
	})
	switch {
	case !looked:
		cause = converge.CauseUnseen
	case known.Image != r.cfg.Image:
		cause = "not looked at yet"
	case !stays:
		cause = "the runner gets a new container"
	default:
		return nil
	}
	before := slices.Clone(written)
	for _, f := range r.hostFiles() {
		before = append(before, converge.Ref("file:"+f.Path))
	}
	return []converge.Task{{Name: "host of the jobs", Verb: "look at", Cause: cause, Ref: refHost, Before: before, Run: r.lookAtHost}}
}

// lookAtHost notes what there is. A program without a shell beside it is one of
// which nothing is known.
func (r *Runners) lookAtHost(ctx context.Context, host Host) error {
	out, err := host.Run(ctx, converge.OneOff{Container: converge.Container{
		Name: r.cfg.Stack + "-runner-host", Image: r.cfg.Image, Entrypoint: []string{"sh"}, Cmd: []string{"-c", lookAtHost}}})
	if err != nil && !strings.Contains(err.Error(), "executable file not found") {
		return fmt.Errorf("look at the runner's program: %w", err)
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

// parseFacts reads what lookAtHost printed.
func parseFacts(out []byte) (f hostFacts) {
	var wide []string // servers that a network without IPv6 does not reach
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		switch ip, err := netip.ParseAddr(fields[1]); {
		case fields[0] == "knows":
			f.Knows = append(f.Knows, fields[1])
		case fields[0] != "nameserver" || err != nil || ip.IsLoopback() || ip.Zone() != "":
		case ip.Is4():
			f.NameServers = append(f.NameServers, ip.String())
		default:
			wide = append(wide, ip.String())
		}
	}
	if len(f.NameServers) == 0 {
		f.NameServers = wide
	}
	return f
}

func (f hostFacts) knows(word string) bool { return slices.Contains(f.Knows, word) }

package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/heptaup/hepta/internal/bom"
	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
)

// ErrUnreached: forge or registry is not reached from where jobs run.
var ErrUnreached = errors.New("not reached from where jobs run")

const (
	// reachTime bounds the look at one address: the runner's program asks one
	// after the other, and waits half a minute for those that say nothing.
	reachTime = 35 * time.Second
	// reachPause is the time between two looks where the first found something
	// wrong; until then what it found stands for others.
	reachPause = 3 * time.Second
	// reachFresh is how long a look that found nothing wrong stands for others;
	// longer than a container is waited for.
	reachFresh = 2 * time.Minute
	// reachTries is how often a task looks: a proxy may just be coming up.
	reachTries = 3
	reachFile  = "/hepta-reach.toml"
)

// callOf is what comes before the reason why a call failed.
var callOf = pattern.New(`^.*/verify"?: `)

// jobPlace is where the jobs of a runner stand, as config.toml has it.
type jobPlace struct {
	Name        string
	URL         string
	CA          string `toml:"tls-ca-file"`
	Environment []string
	Docker      struct {
		Privileged bool
		Network    string   `toml:"network_mode"`
		ExtraHosts []string `toml:"extra_hosts"`
		Volumes    []string
	}
}

// call is one address that somebody on a jobPlace has to reach.
type call struct {
	who, url string
	ca       string // file inside the container; "" for what the system trusts
	forge    bool   // what answers has to be one
}

// reach sees whether the jobs of some runners will reach forge and registry:
// containers on their network, with their names and authorities, call both.
// The caller is the runner's own program, so that nothing is asked of an image
// that jobs do not ask, and it asks for a token that nobody has. What was found
// is noted for the next run.
func (r *Runners) reach(ctx context.Context, host converge.Host, of func(Runner) bool) error {
	list, err := r.probeAll(ctx, host, of)
	if err != nil {
		return err
	}
	var errs []error
	told := map[string]bool{}
	for _, v := range list {
		for i, p := range v.probes {
			if key := p.key(); !told[key] {
				told[key] = true
				errs = append(errs, v.errs[i])
			}
		}
	}
	return errors.Join(append(errs, r.noteReachResults(ctx, host, list))...)
}

// reachResult is what the jobs of one runner were seen to reach.
type reachResult struct {
	runner string
	probes []probe
	errs   []error // of each probe
}

// err is nil where all was reached.
func (v reachResult) err() error { return errors.Join(v.errs...) }

// probeAll sends the probes of some runners out at once and gives what came
// back, in the order of config.toml.
func (r *Runners) probeAll(ctx context.Context, host converge.Host, of func(Runner) bool) ([]reachResult, error) {
	content, err := readFile(ctx, host, FileConfig)
	if err != nil {
		return nil, err
	}
	stands, err := jobPlaces(content)
	if err != nil {
		return nil, err
	}
	var list []reachResult
	var all sync.WaitGroup
	for _, g := range stands {
		i := slices.IndexFunc(r.cfg.Runners, func(x Runner) bool { return x.Name == g.Name })
		if i < 0 || !of(r.cfg.Runners[i]) {
			continue
		}
		v := reachResult{runner: g.Name, probes: r.cfg.probes(r.cfg.Runners[i], g)}
		v.errs = make([]error, len(v.probes))
		for j, p := range v.probes {
			p.box.Name = fmt.Sprintf("%s-reach-%d", r.cfg.Stack, r.probesStarted.Add(1))
			all.Go(func() { v.errs[j] = r.runProbe(ctx, host, p) })
		}
		list = append(list, v)
	}
	all.Wait()
	return list, nil
}

// jobPlaces are those of a config.toml, the first of each name.
func jobPlaces(content []byte) ([]jobPlace, error) {
	var config struct{ Runners []jobPlace }
	if toml.Unmarshal(bom.Trim(content), &config) != nil {
		return nil, brokenConfig(errors.New("not valid TOML"))
	}
	var list []jobPlace
	for _, g := range config.Runners {
		if !slices.ContainsFunc(list, func(other jobPlace) bool { return other.Name == g.Name }) {
			list = append(list, g)
		}
	}
	return list, nil
}

// probe is a container that calls.
type probe struct {
	runner string
	box    converge.Container
	calls  []call
}

// key is the same for all that are alike, whatever they are called.
func (p probe) key() string {
	p.box.Name = ""
	return fmt.Sprint(p.box, p.calls)
}

// probes are a job of x, its Docker daemon and the runner itself, apart from
// each other: what variables each has decides what its programs trust and which
// proxy they use, and the runner is on a network of its own.
func (cfg Config) probes(x Runner, g jobPlace) []probe {
	box := converge.Container{Image: cfg.Image, Entrypoint: []string{"gitlab-runner"}, Cmd: []string{"verify", "--config", reachFile}}
	runner := probe{runner: x.Name, box: box}
	box.ExtraHosts = g.Docker.ExtraHosts
	// A job network is like the Engine's default network here: neither has names
	// of other containers, and both reach the Docker host by the same address.
	if network := g.Docker.Network; network != "" && network != "default" && network != converge.DefaultNetwork {
		box.Networks = []converge.Attachment{{Network: network}}
	}
	for _, v := range g.Docker.Volumes {
		if source, target, ok := strings.Cut(strings.TrimSuffix(v, ":ro"), ":"); ok && strings.HasPrefix(source, cfg.Data+"/") && strings.HasSuffix(target, ".crt") {
			box.Mounts = append(box.Mounts, converge.Mount{Kind: converge.HostPath, Source: source, Target: target, ReadOnly: true})
		}
	}
	var registries []string
	if g.URL == cfg.Forge.URL {
		registries = cfg.Registries
	}
	job := probe{runner: x.Name, box: box, calls: []call{{who: "a job", url: g.URL, forge: true}}}
	job.box.Env = proxyOf(g.Environment)
	for _, address := range registries {
		job.calls = append(job.calls, call{who: "a job", url: address})
	}
	list := []probe{job}
	if cfg.CAFile != "" && x.Mode == Dind {
		daemon := probe{runner: x.Name, box: box}
		daemon.box.Env = slices.DeleteFunc(proxyOf(g.Environment), func(e string) bool { return strings.HasPrefix(e, "SSL_CERT_DIR=") })
		for _, address := range registries {
			if u, err := url.Parse(address); err == nil && u.Scheme == "https" {
				daemon.calls = append(daemon.calls, call{who: "a job's Docker daemon", url: address, ca: daemonCA(u.Host)})
			}
		}
		if len(daemon.calls) > 0 {
			list = append(list, daemon)
		}
	}
	runner.box.Env = proxyOf(cfg.environment())
	if g.CA == "" && len(runner.box.Env) == 0 {
		return list // that it comes online says enough
	}
	runner.box.ExtraHosts = cfg.names()
	runner.box.Networks = []converge.Attachment{{Network: cfg.Network}}
	if g.CA != "" && cfg.CAFile != "" {
		runner.box.Mounts = []converge.Mount{{Kind: converge.Data, Source: cfg.CAFile, Target: g.CA, ReadOnly: true}}
	}
	runner.calls = []call{{who: "the runner", url: g.URL, ca: g.CA, forge: true}}
	return append(list, runner)
}

// runProbe tells what a probe could not reach.
func (r *Runners) runProbe(ctx context.Context, host converge.Host, p probe) error {
	found, err := r.answers(ctx, host, p)
	if err != nil && strings.Contains(err.Error(), "bind source path does not exist") {
		return &fault.Error{Op: "see what jobs reach of", What: "runner " + p.runner, Why: "what they are given of the data directory is not there", Remedy: "Run: hepta up", Err: err}
	}
	if err != nil {
		return fmt.Errorf("see what jobs of runner %s reach: %w", p.runner, err)
	}
	var errs []error
	for i, c := range p.calls {
		if why := found[i]; why != "" {
			errs = append(errs, &fault.Error{Op: "reach", What: c.url, Err: ErrUnreached,
				Why: fmt.Sprintf("%s of runner %s cannot: %s", c.who, p.runner, why), Remedy: r.remedy(c, why)})
		}
	}
	return errors.Join(errs...)
}

// answers runs a probe's container and reads what came of each of its calls,
// "" where somebody answered. Of several alike at once one runs.
func (r *Runners) answers(ctx context.Context, host converge.Host, p probe) ([]string, error) {
	l := r.lookOf(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) < l.stands(r.pause()) {
		return l.found, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime(len(p.calls)))
	defer cancel()
	out, err := host.Run(ctx, converge.OneOff{Container: strict(p.box, r.cfg.Data), Files: map[string]string{reachFile: p.config()}})
	if err != nil {
		return nil, err
	}
	l.found = make([]string, len(p.calls))
	for i, c := range p.calls {
		l.found[i] = answerTo(string(out), nobody(i), c.forge)
	}
	l.at = time.Now()
	return l.found, nil
}

// lookTime bounds a look at several addresses.
func lookTime(addresses int) time.Duration {
	return max(time.Minute, time.Duration(addresses)*reachTime)
}

// strict is a container whose mounts have to be there: of a file that is not,
// the Engine would make a directory, which is in the way for good.
func strict(box converge.Container, data string) converge.Container {
	box.Mounts = slices.Clone(box.Mounts)
	for i, m := range box.Mounts {
		if m.Kind == converge.Data {
			box.Mounts[i].Kind, box.Mounts[i].Source = converge.HostPath, path.Join(data, m.Source)
		}
	}
	return box
}

// nobody is a token that no runner has. It is as long as what logs show of one.
func nobody(i int) string { return fmt.Sprintf("nobody%02d", i) }

func (p probe) config() string {
	var b strings.Builder
	for i, c := range p.calls {
		fmt.Fprintf(&b, "[[runners]]\nname = %q\nurl = %q\ntoken = %q\nexecutor = \"docker\"\n", nobody(i), c.url, nobody(i))
		if c.ca != "" {
			fmt.Fprintf(&b, "tls-ca-file = %q\n", c.ca)
		}
		b.WriteString("[runners.docker]\nimage = \"none\"\n")
	}
	return b.String()
}

// answerTo reads in the log of `gitlab-runner verify` what came of one call:
// "" when somebody answered, a forge where one has to.
func answerTo(log, token string, forge bool) string {
	log = colour().ReplaceAllString(log, "")
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if !strings.Contains(line, "runner="+token) {
			continue
		}
		_, status, _ := strings.Cut(line, "status=")
		status = strings.Trim(status, `"`)
		switch {
		case strings.Contains(line, "couldn't execute"):
			return callOf().ReplaceAllString(strings.ReplaceAll(status, `\"`, `"`), "")
		case forge && (strings.HasPrefix(status, "404") || strings.HasPrefix(status, "5")):
			return "who answers there is no forge that works: " + status
		}
		return ""
	}
	log = strings.TrimSpace(log)
	return cmp.Or(log[strings.LastIndexByte(log, '\n')+1:], "the runner's program said nothing")
}

const remedyCA = "Give runners the authority of that certificate: runner: {ca: FILE} in hepta.yaml."

// remedy says what to do about a call that failed for a reason in the words of
// Go's libraries.
func (r *Runners) remedy(c call, why string) string {
	u, err := url.Parse(c.url)
	if err != nil {
		u = &url.URL{}
	}
	own := slices.Contains(r.cfg.HostNames, u.Hostname())
	named := fmt.Sprintf(`runner: {extra_hosts: ["%s:ADDRESS"]}`, u.Hostname())
	switch {
	case strings.Contains(why, "x509: certificate signed by unknown authority"), strings.Contains(why, "failed to verify certificate: x509: certificate signed by"):
		return remedyCA
	case strings.Contains(why, "x509:"), strings.Contains(why, "tls:"):
		return "Look at the certificate that is served under that name; it has to be good for " + u.Hostname() + "."
	case strings.Contains(why, "server gave HTTP response to HTTPS client"):
		return "There is no TLS at that port: write http:// or name the port that has TLS."
	case strings.Contains(why, "no such host"), strings.Contains(why, "name resolution"), strings.Contains(why, "server misbehaving"):
		return fmt.Sprintf("Give the name a record in DNS, or tell jobs its address: %s; or let them join a network where it is an alias: docker: {network_mode: NETWORK}.", named)
	case strings.Contains(why, "connection refused") && own:
		return "The Docker host publishes that port no more, or lets containers not through to it: see that a firewall on it lets the Docker networks in."
	case own && (strings.Contains(why, "timeout") || strings.Contains(why, "deadline exceeded")):
		return r.remedyHere(u)
	case strings.Contains(why, "connection refused"), strings.Contains(why, "timeout"), strings.Contains(why, "no route"), strings.Contains(why, "unreachable"), strings.Contains(why, "deadline exceeded"):
		return fmt.Sprintf("From a container that address leads nowhere: see that firewall and router let containers out to it, or tell jobs another address of the same host: %s%s.", named, r.hairpin(u))
	}
	return "See that a container on the jobs' network reaches that address."
}

// remedyHere is for a name that leads to the Docker host, which says nothing. An
// Engine that has no proxy of its own for published ports leads containers of
// one network to those of another by packet filter rules alone, which another
// set of its rules drops.
func (r *Runners) remedyHere(u *url.URL) string {
	way := "take that setting out"
	if r.cfg.OnNetwork {
		way = fmt.Sprintf("let jobs join the stack's network, where the name is known: docker: {network_mode: %s}", r.cfg.Network)
	}
	return fmt.Sprintf("Containers do not get to the Docker host's own port for %s: see that a firewall on it lets the Docker networks in. "+
		`Where its /etc/docker/daemon.json has "userland-proxy": false, %s.`, u.Hostname(), way)
}

// hairpin is what to try where a name leads to the Docker host's own public
// address, which many routers do not lead back in.
func (r *Runners) hairpin(u *url.URL) string {
	if forge, err := url.Parse(r.cfg.Forge.URL); err == nil && forge.Hostname() == u.Hostname() && len(r.cfg.After) > 0 && net.ParseIP(u.Hostname()) == nil {
		return "; the forge is on this Docker host, whose address for containers is host-gateway"
	}
	return ""
}

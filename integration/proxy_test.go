package integration

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/internal/images"
)

// The proxy has to see which containers there are. Whoever takes it over must
// get nothing more out of the Engine, and nobody but the proxy may ask at all.
func TestTheProxySeesContainersAndNoMore(t *testing.T) {
	s := onSite(t)
	stack := s.lab(t)
	forge, err := s.docker.ContainerInspect(t.Context(), "lab-heptapod")
	if err != nil {
		t.Fatal(err)
	}
	between, err := s.docker.ContainerInspect(t.Context(), "lab-socket-proxy")
	if err != nil {
		t.Fatal(err)
	}
	address := between.NetworkSettings.Networks["lab-socket"].IPAddress
	from := func(t *testing.T, name, script string) string {
		return output(t, s.docker, container.Config{Image: outer.refs[images.Base].Local, Cmd: []string{"sh", "-c", script}},
			container.HostConfig{NetworkMode: container.NetworkMode(name)})
	}

	t.Run("what may be asked", func(t *testing.T) {
		var script, want strings.Builder
		for _, c := range []struct {
			status       int
			method, path string
		}{
			{200, "GET", "/_ping"},
			{200, "HEAD", "/_ping"},
			{200, "GET", "/v1.41/version"},
			{200, "GET", "/v1.41/containers/json?all=1"},
			{200, "GET", "/v1.41/containers/ID/json"},
			{200, "GET", "/v1.41/events?since=0&until=1"},
			{403, "GET", "/v1.41/containers/ID/archive?path=/etc/gitlab"},
			{403, "GET", "/v1.41/containers/ID/export"},
			{403, "GET", "/v1.41/containers/ID/logs?stdout=1"},
			{403, "GET", "/v1.41/containers/ID/attach/ws?stream=1"},
			{403, "GET", "/v1.41/containers/ID/json/../archive?path=/"},
			{403, "GET", "/v1.41/containers/ID%2Farchive/json"},
			{403, "GET", "/v1.41/images/json"},
			{403, "GET", "/v1.41/info"},
			{403, "GET", "/v1.41/secrets"},
			{403, "POST", "/v1.41/containers/create"},
			{403, "POST", "/v1.41/containers/ID/exec"},
			{403, "POST", "/v1.41/containers/json"},
			{403, "PUT", "/v1.41/containers/ID/json"},
			{403, "DELETE", "/v1.41/containers/ID"},
		} {
			how := "-X " + c.method
			if c.method == "HEAD" {
				how = "-I"
			}
			fmt.Fprintf(&script, "curl -s --path-as-is -o /dev/null -w '%%{http_code} %s %s\\n' %s 'http://lab-socket-proxy:2375%s'\n",
				c.method, strings.ReplaceAll(c.path, "%", "%%"), how, strings.ReplaceAll(c.path, "ID", forge.ID))
			fmt.Fprintln(&want, c.status, c.method, c.path)
		}
		if got := from(t, "lab-socket", script.String()); got != want.String() {
			t.Errorf("got\n%s\nwant\n%s", got, want.String())
		}
	})

	t.Run("nobody else reaches it", func(t *testing.T) {
		const ask = "curl -s -m 2 -o /dev/null http://%s:2375/_ping && echo answered || echo no answer"
		for _, name := range []string{"lab", "bridge"} {
			for _, at := range []string{address, "lab-socket-proxy"} {
				if got := from(t, name, fmt.Sprintf(ask, at)); got != "no answer\n" {
					t.Errorf("a container of network %s asks %s: %s", name, at, got)
				}
			}
		}
		if got := s.output(t, stack, "heptapod", fmt.Sprintf(ask, address)); got != "no answer\n" {
			t.Errorf("the forge asks: %s", got)
		}
		of, err := s.docker.NetworkInspect(t.Context(), "lab-socket", network.InspectOptions{})
		if err != nil || !of.Internal || len(of.Containers) != 2 {
			t.Errorf("on the private network are %v, it is internal: %v, %v", of.Containers, of.Internal, err)
		}
	})

	t.Run("what is left of being root", func(t *testing.T) {
		for service, caps := range map[string]string{"traefik": "0000000000000402", "socket-proxy": "0000000000000000", "runner": "0000000000000000"} {
			name := "lab-" + service
			box, err := s.docker.ContainerInspect(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			given := slices.ContainsFunc(box.Mounts, func(m container.MountPoint) bool { return strings.HasSuffix(m.Destination, "docker.sock") })
			if given != (service != "traefik") {
				t.Errorf("%s is given the Engine's socket: %v", service, given)
			}
			if !box.HostConfig.ReadonlyRootfs || box.HostConfig.PidsLimit == nil || *box.HostConfig.PidsLimit == 0 {
				t.Errorf("%s: its root can be written: %v, processes %v", service, !box.HostConfig.ReadonlyRootfs, box.HostConfig.PidsLimit)
			}
			status := s.onHost(t, fmt.Sprintf("grep -h -E 'CapEff|NoNewPrivs' /proc/%d/status", box.State.Pid))
			if want := "CapEff:\t" + caps + "\nNoNewPrivs:\t1\n"; status != want {
				t.Errorf("%s has %q, want %q", service, status, want)
			}
		}
	})
}

// What people ask the proxy for is in its log, which is the container's and
// bounded, and the tokens that some clients send in the URL are not.
func TestTheProxyLogsNoTokens(t *testing.T) {
	s := onSite(t)
	stack := s.lab(t)
	root, err := stack.CACertificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	const token = "glpat-inTheAddress"
	asked, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+labForge+"/users/sign_in?private_token="+token, nil)
	if err != nil {
		t.Fatal(err)
	}
	asked.Header.Set("Referer", "https://"+labForge+"/?feed_token="+token)
	resp, err := s.client(t, root).Do(asked)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	var log strings.Builder
	eventually(t, 20*time.Second, "the request is in the proxy's log", func() bool {
		log.Reset()
		err := stack.Logs(t.Context(), hepta.LogOptions{Services: []string{"traefik"}, Since: began.Add(-time.Minute), Tail: -1}, func(l hepta.LogLine) {
			fmt.Fprintln(&log, l.Text)
		})
		return err == nil && strings.Contains(log.String(), `"lab-forge@docker"`)
	})
	if strings.Contains(log.String(), token) {
		t.Errorf("the proxy logs tokens:\n%s", log.String())
	}
	box, err := s.docker.ContainerInspect(t.Context(), "lab-traefik")
	if err != nil {
		t.Fatal(err)
	}
	if c := box.HostConfig.LogConfig; c.Config["max-size"] == "" || c.Config["max-file"] == "" {
		t.Errorf("the log has no bound: %v", c)
	}
	if got := s.onHost(t, "ls /srv/lab/traefik"); strings.Contains(got, "logs") {
		t.Errorf("there are logs beside the container's: %s", got)
	}
}

// network makes a network as somebody else would, and removes it after what
// the test has put on it.
func (s *site) network(t *testing.T, name, subnet string) {
	t.Helper()
	made, err := s.docker.NetworkCreate(t.Context(), name, network.CreateOptions{IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.docker.NetworkRemove(context.Background(), made.ID); err != nil {
			t.Error(err)
		}
	})
}

// forgeKnowsWhoAsks has somebody outside ask the forge through the proxy, on a
// network of whatever addresses. The forge limits how often an address may fail
// to log in: it must not take the proxy's for everybody's.
func (s *site) forgeKnowsWhoAsks(t *testing.T, stack *hepta.Stack, client *http.Client, network string) {
	t.Helper()
	if seen := s.seenBy(t, stack, client, ""); seen == "" || strings.HasPrefix(seen, network) {
		t.Errorf("the forge takes %q for the address of who asks through the proxy on %s", seen, network)
	}
}

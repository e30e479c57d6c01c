package integration

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	gitlab "gitlab.com/gitlab-org/api/client-go"
	"golang.org/x/crypto/bcrypt"

	"github.com/heptaup/hepta"
)

// What people meet at the proxy: its own page asks for a password and takes
// the right one alone, http leads to https, somebody else's container is there
// by its labels, and the forge sees their own address, whatever they claim.
func TestProxyForPeople(t *testing.T) {
	s := onSite(t)
	const password = "of the dashboard"
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	stack := s.lab(t, func(c *hepta.Config) {
		c.Traefik.Dashboard = &hepta.Dashboard{Host: labMonitor, Users: []string{"admin:" + string(hash)}}
	})
	root, err := stack.CACertificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := s.client(t, root)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ask := func(address string, change func(*http.Request)) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		change(req)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	nothing := func(*http.Request) {}
	whole := t

	t.Run("dashboard", func(t *testing.T) {
		for _, c := range []struct {
			name   string
			change func(*http.Request)
			want   int
		}{
			{"no password", nothing, 401},
			{"a wrong password", func(r *http.Request) { r.SetBasicAuth("admin", "of somebody") }, 401},
			{"a wrong name", func(r *http.Request) { r.SetBasicAuth("root", password) }, 401},
			{"the right one", func(r *http.Request) { r.SetBasicAuth("admin", password) }, 200},
		} {
			// What the page shows; the page itself is not in the image of the tests.
			for _, path := range []string{"/api/overview", "/api/http/routers"} {
				if got := ask("https://"+labMonitor+path, c.change); got.StatusCode != c.want {
					t.Errorf("%s: %s answers %s, want %d", c.name, path, got.Status, c.want)
				}
			}
		}
		// Under the names of others it is not there.
		if got := ask("https://"+labForge+"/api/http/routers", func(r *http.Request) { r.SetBasicAuth("admin", password) }); got.StatusCode == http.StatusOK {
			t.Error("the proxy's page is there under the forge's name")
		}
	})

	t.Run("http", func(t *testing.T) {
		for _, host := range []string{labForge, labRegistry, labMonitor} {
			got := ask("http://"+host+"/users/sign_in?x=1", nothing)
			if to := got.Header.Get("Location"); got.StatusCode/100 != 3 || to != "https://"+host+"/users/sign_in?x=1" {
				t.Errorf("http://%s answers %s and leads to %q", host, got.Status, to)
			}
		}
	})

	t.Run("somebody else's container", func(t *testing.T) {
		labels, err := stack.Labels(t.Context(), hepta.Route{Name: "people", Host: "people.lab.test", Port: 8000})
		if err != nil {
			t.Fatal(err)
		}
		status := func(host string) string {
			return strings.TrimSpace(s.onHost(t, fmt.Sprintf("curl -sk -o /dev/null -w '%%{http_code}' --resolve %[1]s:443:127.0.0.1 https://%[1]s/", host)))
		}
		if got := status("people.lab.test"); got != "404" {
			t.Errorf("before it is there it answers %s", got)
		}
		s.beside(whole, "people", labels)
		eventually(t, time.Minute, "it is published", func() bool { return status("people.lab.test") == "200" })
		redirected := s.onHost(t, "curl -s -o /dev/null -w '%{http_code} %{redirect_url}' -H 'Host: people.lab.test' http://127.0.0.1/x")
		if !strings.HasSuffix(redirected, " https://people.lab.test/x") {
			t.Errorf("by http it answers %s", redirected)
		}
	})

	t.Run("addresses", func(t *testing.T) {
		lab, err := s.docker.NetworkInspect(t.Context(), "lab", network.InspectOptions{})
		if err != nil || len(lab.IPAM.Config) == 0 {
			t.Fatal(lab.IPAM, err)
		}
		_, subnet, err := net.ParseCIDR(lab.IPAM.Config[0].Subnet)
		if err != nil {
			t.Fatal(err)
		}
		for _, claimed := range []string{"", "192.0.2.7"} {
			seen := s.seenBy(t, stack, client, claimed)
			if ip := net.ParseIP(seen); ip == nil || subnet.Contains(ip) || seen == claimed {
				t.Errorf("who asks as %q is taken for %q, and the proxy is on %s", claimed, seen, subnet)
			}
		}
	})
}

// seenBy is the address by which the forge knows who asks it through the proxy
// and claims an address.
func (s *site) seenBy(t *testing.T, stack *hepta.Stack, client *http.Client, claimed string) string {
	t.Helper()
	api, err := stack.Forge().Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	made, _, err := api.Users.CreateUserRunner(&gitlab.CreateUserRunnerOptions{RunnerType: gitlab.Ptr("instance_type"), Description: gitlab.Ptr("who asks")}, gitlab.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"token": {made.Token}, "system_id": {"s_1"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, stack.Forge().URL()+"/api/v4/runners/verify", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if claimed != "" {
		req.Header.Set("X-Forwarded-For", claimed)
		req.Header.Set("X-Real-Ip", claimed)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	// The client library has no managers of runners, where newer forges show the address.
	var seen struct {
		IPAddress string `json:"ip_address"`
	}
	req2, err := api.NewRequest(http.MethodGet, fmt.Sprintf("runners/%d", made.ID), nil, []gitlab.RequestOptionFunc{gitlab.WithContext(t.Context())})
	if err != nil {
		t.Fatal(err)
	}
	_, err = api.Do(req2, &seen)
	_, gone := api.Runners.RemoveRunner(made.ID, gitlab.WithContext(t.Context()))
	if err := errors.Join(err, gone); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	return seen.IPAddress
}

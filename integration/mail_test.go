package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/images"
)

const (
	relayHost     = "relay.lab.test"
	relayUser     = "hg"
	relayPassword = "s3cr3t 0f relay"
)

// relay starts a mail relay on the lab's network, where the stack is up. It
// gives the container and the authority of the relay's certificate.
func (s *site) relay(t *testing.T) (id string, ca []byte) {
	t.Helper()
	cert, key := selfSigned(t, nil, relayHost)
	s.install(t, "mailrelay", "/srv/relay")
	s.put(t, "/srv/relay", "cert.pem", string(cert))
	s.put(t, "/srv/relay", "key.pem", string(key))
	made, err := s.docker.ContainerCreate(t.Context(), &container.Config{
		Image: outer.refs[images.Small].Local, Entrypoint: []string{"/relay/mailrelay", "/relay/cert.pem", "/relay/key.pem", relayUser, relayPassword},
	}, &container.HostConfig{NetworkMode: "lab", Binds: []string{"/srv/relay:/relay"}},
		&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{"lab": {Aliases: []string{relayHost}}}}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(words(context.Background(), s.docker, made.ID))
		}
		s.remove(t, made.ID)
	})
	if err := s.docker.ContainerStart(t.Context(), made.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	return made.ID, cert
}

// taken is a mail as the relay prints it.
type taken struct {
	Mechanism, From, To, Subject, Header string
	TLS                                  bool
}

// mails are those that a relay has taken.
func (s *site) mails(t *testing.T, relay string) (list []taken) {
	t.Helper()
	for line := range strings.Lines(words(t.Context(), s.docker, relay)) {
		var m taken
		if json.Unmarshal([]byte(line), &m) == nil {
			list = append(list, m)
		}
	}
	return list
}

// A mail of the forge has to arrive by a relay of each kind, and what keeps it
// from that is said by `hepta mail test`, with the key to look at.
func TestMailThroughARelay(t *testing.T) {
	s := onSite(t)
	stack := s.lab(t)
	if _, err := stack.TestMail(t.Context(), "admin@lab.test"); !errors.Is(err, heptapod.ErrNoRelay) {
		t.Errorf("without a relay: %v", err)
	}
	relay, ca := s.relay(t)
	yes := true
	smtp := func(change func(*hepta.SMTP)) *hepta.Stack {
		return s.lab(t, func(c *hepta.Config) {
			c.Heptapod.SMTP = &hepta.SMTP{Address: relayHost, User: relayUser, Password: hepta.NewSecret(relayPassword), CA: ca, From: "forge@lab.test", DisplayName: "Lab"}
			change(c.Heptapod.SMTP)
		})
	}
	for i, c := range []struct {
		name, mechanism string
		change          func(*hepta.SMTP)
	}{
		{"STARTTLS", "LOGIN", func(*hepta.SMTP) {}},
		{"TLS from the first byte", "PLAIN", func(m *hepta.SMTP) { m.Port, m.Authentication = 465, "plain" }},
		{"CRAM-MD5", "CRAM-MD5", func(m *hepta.SMTP) { m.Authentication = "cram_md5" }},
	} {
		sent, err := smtp(c.change).TestMail(t.Context(), "admin@lab.test")
		if err != nil {
			t.Fatalf("%s: %s", c.name, fault.Describe(err))
		}
		got, want := s.mails(t, relay), taken{Mechanism: c.mechanism, From: "forge@lab.test", To: "admin@lab.test", Subject: "Test mail of hepta", Header: "Lab <forge@lab.test>", TLS: true}
		if len(got) != i+1 || got[i] != want {
			t.Errorf("%s: the relay has taken %+v, want %+v", c.name, got, want)
		}
		if sent.From != want.From || !strings.HasPrefix(sent.Relay, relayHost) {
			t.Errorf("%s: sent %+v", c.name, sent)
		}
	}
	for _, c := range []struct {
		name, remedy string
		change       func(*hepta.SMTP)
	}{
		{"wrong password", "heptapod.smtp.user, password_file", func(m *hepta.SMTP) { m.Password = hepta.NewSecret("wr0ng 0f relay") }},
		{"no authority", "Set heptapod.smtp.ca", func(m *hepta.SMTP) { m.CA = nil }},
		{"TLS at once on the port for STARTTLS", "leave heptapod.smtp.tls out", func(m *hepta.SMTP) { m.TLS = &yes }},
		{"nobody on the port", "does not reach the relay", func(m *hepta.SMTP) { m.Port = 2525 }},
	} {
		_, err := smtp(c.change).TestMail(t.Context(), "admin@lab.test")
		if err == nil || !strings.Contains(fault.Remedy(err), c.remedy) || strings.Contains(fault.Describe(err), "0f relay") {
			t.Errorf("%s: %s", c.name, fault.Describe(err))
		}
	}
	if n := len(s.mails(t, relay)); n != 3 {
		t.Errorf("the relay has taken %d mails", n)
	}

	smtp(func(*hepta.SMTP) {})
	out, errs, code := s.hepta(t, s.socket, "mail", "test", "people@lab.test")
	if code != 0 || !strings.Contains(out, "Sent to people@lab.test from forge@lab.test: taken by "+relayHost+":587.") {
		t.Errorf("hepta mail test: exit code %d\n%s%s", code, out, errs)
	}
	// The logs lie on the host, where they outlive the container.
	if got := s.onHost(t, "ls /srv/lab/heptapod/logs"); !strings.Contains(got, "gitlab-rails") || !strings.Contains(got, "nginx") {
		t.Errorf("the forge's logs on the host: %s", got)
	}
	if got := s.output(t, stack, "heptapod", "cat /opt/gitlab/etc/gitlab.rb.template"); !strings.Contains(got, "# external_url") {
		t.Errorf("the commented template: %s", got)
	}
}

// An address that fails to log in too often is locked out by the forge, and
// who asks from elsewhere is not: the limits of hepta.yaml are in force.
func TestFailedLoginsLockOut(t *testing.T) {
	s := onSite(t)
	stack := s.lab(t, func(c *hepta.Config) {
		c.Heptapod.RackAttackMaxRetry, c.Heptapod.RackAttackFindTime, c.Heptapod.RackAttackBanTime = 3, 600, 5
	})
	root, err := stack.CACertificate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := s.client(t, root)
	ask := func(password string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+labForge+"/jwt/auth?service=container_registry", nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			req.SetBasicAuth("root", password)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	password, err := stack.Forge().RootPassword(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, try := range []string{"wrong", "wrong", "wrong", password.Reveal()} {
		got = append(got, ask(try))
	}
	if fmt.Sprint(got) != "[401 401 401 403]" {
		t.Errorf("three failed logins and a good one are answered with %v", got)
	}
	// The runners, on the stack's own network, go on.
	if out, errs, code := s.hepta(t, s.socket, "runner", "verify"); code != 0 {
		t.Errorf("runner verify: exit code %d\n%s%s", code, out, errs)
	}
	eventually(t, time.Minute, "the address is let in again", func() bool { return ask(password.Reveal()) == http.StatusOK })
}

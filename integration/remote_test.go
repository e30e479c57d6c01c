package integration

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	gitlab "gitlab.com/gitlab-org/api/client-go"
	"golang.org/x/crypto/ssh"

	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/internal/sandbox"
)

// farYAML describes runners on another host, for a forge that is not in it.
const farYAML = `stack: far
data: /srv/far
docker: %s
forge: {url: https://hg.lab.test, token_file: "env:FORGE_TOKEN", registry: registry.lab.test}
runner: {image: gitlab/gitlab-runner:latest, check_interval: 1, drain_seconds: 5, ca: ca.crt%s}
runners:
  - {name: far, mode: dind, tags: [far], image: "docker:26", docker: {pull_policy: if-not-present}}
`

// The hosts' addresses on the network between them. It is none of those that
// Engines hand out by themselves: to the daemon of a job, which is an Engine
// inside an Engine, such an address may be its own.
const (
	networkBetween = "198.18.77.0/24"
	siteAddress    = "198.18.77.2"
	farAddress     = "198.18.77.3"
)

// A job that says on which daemon it builds, and uses the forge's registry.
const farJobYAML = `far:
  image: docker:26
  tags: [far]
  services: ["docker:26-dind"]
  variables: {DOCKER_TLS_CERTDIR: /certs}
  script:
    - echo "packets of $(docker network inspect bridge -f '{{index .Options "com.docker.network.driver.mtu"}}')"
    - echo "$CI_REGISTRY_PASSWORD" | docker login -u "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"
    - docker build -t "$CI_REGISTRY_IMAGE:far" .
    - docker push "$CI_REGISTRY_IMAGE:far"
`

// The forge is on one host, its runners on another that is reached by TCP with
// TLS, by a docker context and by ssh. The administrator sits on the forge's.
func TestRunnersOnAnotherHost(t *testing.T) {
	ctx := t.Context()
	s := onSite(t)
	lab := s.lab(t)
	far, docker, mtu := farHost(t)
	between(t, map[string]string{s.box.ID: siteAddress, far.box.ID: farAddress})
	keys := identity(t)
	admin := &console{t: t, site: s, host: engine.New(outer.docker, slog.New(slog.DiscardHandler), nil)}
	far.prepareSSH(t, keys.public)

	api, err := lab.Forge().Client(ctx)
	if err != nil {
		t.Fatal(err)
	}
	minted, _, err := api.Users.CreatePersonalAccessToken(1, &gitlab.CreatePersonalAccessTokenOptions{
		Name: gitlab.Ptr("far"), Scopes: gitlab.Ptr([]string{"api"}), ExpiresAt: gitlab.Ptr(gitlab.ISOTime(time.Now().AddDate(0, 0, 2))),
	}, gitlab.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	token := minted.Token
	forgotten(t, api, "far")
	ca, err := lab.CACertificate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	address := "tcp://" + net.JoinHostPort(farAddress, "2376")
	tcp := fmt.Sprintf("{host: %q, certs: certs}", address)
	admin.put(map[string]string{
		"far/hepta": string(code), "far/ca.crt": string(ca), "far/hepta.yaml": fmt.Sprintf(farYAML, tcp, ""),
		"far/certs/ca.pem": far.ca, "far/certs/cert.pem": far.cert, "far/certs/key.pem": far.key,
		".ssh/id_ed25519": keys.private, ".ssh/config": "Host *\n  StrictHostKeyChecking accept-new\n  BatchMode yes\n",
	})

	// An authority that nobody has handed over is missed at once.
	admin.put(map[string]string{"far/hepta.yaml": strings.Replace(fmt.Sprintf(farYAML, tcp, ""), ", ca: ca.crt", "", 1)})
	_, stderr, exit := admin.run(token, "/root/far/hepta", "up")
	if exit != 1 || !strings.Contains(stderr, "x509: certificate signed by unknown authority") || !strings.Contains(stderr, "runner: {ca: FILE}") {
		t.Fatalf("up without the authority: exit code %d\n%s", exit, stderr)
	}
	admin.put(map[string]string{"far/hepta.yaml": fmt.Sprintf(farYAML, tcp, "")})

	// Nobody there knows the forge's name: that is said, and what to do.
	_, stderr, exit = admin.run(token, "/root/far/hepta", "up")
	if exit != 1 || !strings.Contains(stderr, "a job of runner far cannot") || !strings.Contains(stderr, "no such host") || !strings.Contains(stderr, `extra_hosts: ["hg.lab.test:ADDRESS"]`) {
		t.Fatalf("up without the names: exit code %d\n%s", exit, stderr)
	}
	names := fmt.Sprintf(`, extra_hosts: ["hg.lab.test:%s", "registry.lab.test:%s"]`, siteAddress, siteAddress)
	yaml := fmt.Sprintf(farYAML, tcp, names)
	admin.put(map[string]string{"far/hepta.yaml": yaml})
	if _, stderr, exit := admin.run(token, "/root/far/hepta", "up"); exit != 0 || strings.Contains(stderr, token) {
		t.Fatalf("up: exit code %d\n%s", exit, stderr)
	}

	p := s.project(t, lab, "far", git)
	p.push(t, https, map[string]string{".gitlab-ci.yml": farJobYAML, "word.txt": "far away\n", "Dockerfile": "FROM scratch\nCOPY word.txt /word.txt\n"})
	jobs := p.succeed(t, "far")
	p.says(t, jobs["far"], fmt.Sprintf("packets of %d", mtu))
	if got := p.pulled(t, "far", "word.txt"); got != "far away\n" {
		t.Errorf("the image holds %q", got)
	}

	// Every way leads to the same host, where nothing is left to do.
	_, stderr, exit = admin.run("", "docker", "context", "create", "far", "--docker", "host="+address+",ca=/root/far/certs/ca.pem,cert=/root/far/certs/cert.pem,key=/root/far/certs/key.pem")
	if exit != 0 {
		t.Fatal(stderr)
	}
	for _, way := range []string{"far", "ssh://root@" + farAddress} {
		admin.put(map[string]string{"far/hepta.yaml": fmt.Sprintf(farYAML, way, names)})
		if stdout, stderr, exit := admin.run(token, "/root/far/hepta", "plan"); exit != 0 {
			t.Errorf("plan over %s: exit code %d\n%s%s", way, exit, stdout, stderr)
		}
	}
	if _, stderr, exit := admin.run(token, "/root/far/hepta", "down"); exit != 0 {
		t.Errorf("down: exit code %d\n%s", exit, stderr)
	}
	// What the job has left is the runner's: hepta runner prune.
	ours := container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "hepta.stack"))}
	if left, err := docker.ContainerList(ctx, ours); err != nil || len(left) > 0 {
		t.Errorf("left on the other host: %+v, %v", left, err)
	}
}

// forgotten takes the runner of a name out of the lab's forge when the test
// ends: other tests count the runners that the lab describes.
func forgotten(t *testing.T, api *gitlab.Client, name string) {
	t.Cleanup(func() {
		list, _, err := api.Runners.ListAllRunners(nil)
		if err != nil {
			t.Error(err)
		}
		for _, r := range list {
			if r.Description != name {
				continue
			}
			if _, err := api.Runners.RemoveRunner(r.ID); err != nil {
				t.Error(err)
			}
		}
	})
}

// between puts containers on the network between hosts.
func between(t *testing.T, addresses map[string]string) {
	t.Helper()
	ctx := t.Context()
	const name = "hepta-test-between"
	if err := outer.docker.NetworkRemove(ctx, name); err != nil && !errdefs.IsNotFound(err) { // of a killed run
		t.Fatal(err)
	}
	made, err := outer.docker.NetworkCreate(ctx, name, network.CreateOptions{IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: networkBetween}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		for id := range addresses {
			if err := outer.docker.NetworkDisconnect(ctx, made.ID, id, true); err != nil && !errdefs.IsNotFound(err) {
				t.Error(err)
			}
		}
		if err := outer.docker.NetworkRemove(ctx, made.ID); err != nil {
			t.Error(err)
		}
	})
	for id, address := range addresses {
		settings := &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: address}}
		if err := outer.docker.NetworkConnect(ctx, made.ID, id, settings); err != nil {
			t.Fatal(err)
		}
	}
}

// otherHost is a second Docker host whose Engine listens on TCP with TLS.
type otherHost struct {
	box           *sandbox.Sandbox
	ca, cert, key string // of a client
}

// farHost starts one, with the images that runners need. mtu is what its
// containers' packets may have.
func farHost(t *testing.T) (far otherHost, docker *client.Client, mtu int) {
	t.Helper()
	ctx := t.Context()
	base := outer.refs[images.Base].Local
	privileges, err := sandbox.Detect(ctx, outer.docker, base)
	if err != nil {
		t.Fatal(err)
	}
	c := sandbox.Config{Name: "hepta-test-far", Hostname: "far", Image: base, Labels: map[string]string{label: t.Name()}, Args: []string{
		"--host=tcp://0.0.0.0:2376", "--tlsverify", "--tlscacert=/tls/ca.pem", "--tlscert=/tls/cert.pem", "--tlskey=/tls/key.pem"}}
	config, host := c.Spec(privileges)
	made, err := outer.docker.ContainerCreate(ctx, config, host, nil, nil, c.Name)
	if err != nil {
		t.Fatal(err)
	}
	if far.box, err = sandbox.Find(ctx, outer.docker, made.ID); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := far.box.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	var served map[string]string
	far.ca, far.cert, far.key, served = certificates(t)
	put(t, made.ID, "/tls", served)
	if err := far.box.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if docker, err = far.box.Client(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { docker.Close() })
	if err := images.Copy(ctx, outer.docker, docker, refs(images.Small, images.Runner, images.Helper, images.DockerCLI, images.Dind)...); err != nil {
		t.Fatal(err)
	}
	inspect, err := docker.NetworkInspect(ctx, "bridge", network.InspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(inspect.Options["com.docker.network.driver.mtu"], &mtu); err != nil {
		t.Fatal(err)
	}
	return far, docker, mtu
}

// prepareSSH lets the owner of a key in.
func (r otherHost) prepareSSH(t *testing.T, public string) {
	t.Helper()
	put(t, r.box.ID, "/root/.ssh", map[string]string{"authorized_keys": public})
	e := engine.New(outer.docker, slog.New(slog.DiscardHandler), nil)
	x, err := e.Exec(t.Context(), r.box.ID, engine.ExecOptions{Cmd: []string{"sh", "-ec", "chmod 700 /root /root/.ssh; ssh-keygen -q -A; mkdir -p /run/sshd; /usr/sbin/sshd"}})
	if err != nil || x.ExitCode != 0 {
		t.Fatalf("start sshd: %v, %s", err, x.Stderr)
	}
}

// console is where the administrator of the other host sits: the site's machine.
type console struct {
	t    *testing.T
	site *site
	host *engine.Engine
}

func (d *console) put(files map[string]string) {
	d.t.Helper()
	put(d.t, d.site.box.ID, "/root", files)
}

// run runs a program there, with a token of the forge in its environment.
func (d *console) run(token string, cmd ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 6*time.Minute)
	defer cancel()
	r, err := d.host.Exec(ctx, d.site.box.ID, engine.ExecOptions{Cmd: cmd, WorkDir: "/root/far", Env: []string{"HOME=/root", "FORGE_TOKEN=" + token}})
	if err != nil {
		d.t.Fatal(err)
	}
	return string(r.Stdout), string(r.Stderr), r.ExitCode
}

// put places files with mode 0600, programs with 0755, in a container.
func put(t *testing.T, id, dir string, files map[string]string) {
	t.Helper()
	var pack bytes.Buffer
	w := tar.NewWriter(&pack)
	for name, text := range files {
		mode := int64(0o600)
		if strings.HasPrefix(text, "\x7fELF") {
			mode = 0o755
		}
		if err := w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(dir+"/"+name, "/"), Mode: mode, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := outer.docker.CopyToContainer(t.Context(), id, "/", &pack, container.CopyToContainerOptions{}); err != nil {
		t.Fatal(err)
	}
}

// pairOfKeys is an ssh identity.
type pairOfKeys struct{ private, public string }

func identity(t *testing.T) pairOfKeys {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pairOfKeys{string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(line))}
}

// certificates makes an authority, a client's certificate, and the files of
// the other host's server.
func certificates(t *testing.T) (ca, cert, key string, server map[string]string) {
	t.Helper()
	fail := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fail(err)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "far authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, root, root, authority.Public(), authority)
	fail(err)
	ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	issue := func(serial int64, usage x509.ExtKeyUsage) (string, string) {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		fail(err)
		leaf := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "far"}, NotBefore: root.NotBefore, NotAfter: root.NotAfter,
			ExtKeyUsage: []x509.ExtKeyUsage{usage}, KeyUsage: x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.ParseIP(farAddress)}}
		der, err := x509.CreateCertificate(rand.Reader, leaf, root, own.Public(), authority)
		fail(err)
		private, err := x509.MarshalECPrivateKey(own)
		fail(err)
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}))
	}
	cert, key = issue(2, x509.ExtKeyUsageClientAuth)
	serverCert, serverKey := issue(3, x509.ExtKeyUsageServerAuth)
	return ca, cert, key, map[string]string{"ca.pem": ca, "cert.pem": serverCert, "key.pem": serverKey}
}

package runner

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/dockerauth"
	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/fault"
)

// LabelBuild is on the container of a build, and on the volumes of caches; its
// value is the mode.
const LabelBuild = "hepta.build"

const (
	// siteCleanup bounds the removal of a build's container.
	siteCleanup = time.Minute
	// daemonStart bounds the start of a build's own Docker daemon.
	daemonStart = 2 * time.Minute
)

// buildSite is the container that a build happens in. What it runs reads our
// standard input to its end: when this process dies the connection closes, the
// container ends, and the Engine removes it with its volumes.
type buildSite struct {
	b    *builder
	id   string
	conn types.HijackedResponse
	env  []string
}

// open starts the container, with everything in it but the context.
func (b *builder) open(ctx context.Context) (_ *buildSite, err error) {
	if err := b.haveImage(ctx); err != nil {
		return nil, err
	}
	config, host := b.spec()
	if b.Cache != "" {
		if _, err := b.docker.VolumeCreate(ctx, volume.CreateOptions{Name: b.Cache, Labels: map[string]string{LabelBuild: string(b.Mode)}}); err != nil {
			return nil, fmt.Errorf("make cache %s: %w", b.Cache, err)
		}
	}
	made, err := b.docker.ContainerCreate(ctx, config, host, nil, nil, "")
	if err != nil {
		return nil, b.startFault("create", err)
	}
	s := &buildSite{b: b, id: made.ID, env: config.Env}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	settings, err := b.settings(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.send(ctx, settings); err != nil {
		return nil, fmt.Errorf("prepare build container: %w", err)
	}
	// The connection outlives ctx: it is closed with the site.
	if s.conn, err = b.docker.ContainerAttach(context.WithoutCancel(ctx), s.id, container.AttachOptions{Stream: true, Stdin: true}); err != nil {
		return nil, fmt.Errorf("hold build container: %w", err)
	}
	if err := b.docker.ContainerStart(ctx, s.id, container.StartOptions{}); err != nil {
		return nil, b.startFault("start", err)
	}
	if b.Mode == Dind {
		err = s.daemon(ctx)
	}
	return s, err
}

func (b *builder) haveImage(ctx context.Context) error {
	_, err := b.docker.ImageInspect(ctx, b.Image)
	if errdefs.IsNotFound(err) {
		return b.engine.Pull(ctx, b.Image)
	}
	if err != nil {
		return fmt.Errorf("look at image %s: %w", b.Image, err)
	}
	return nil
}

// spec is the container of a build: what a runner of the mode gives its jobs,
// in one container, since a daemon for one build needs no network and no TLS.
func (b *builder) spec() (*container.Config, *container.HostConfig) {
	labels := neutralLabels()
	labels[LabelBuild] = string(b.Mode)
	c := &container.Config{
		Image: b.Image, User: "0:0", Entrypoint: []string{"cat"}, Cmd: []string{},
		OpenStdin: true, StdinOnce: true, AttachStdin: true,
		Labels:      labels,
		Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		Env:         []string{"DOCKER_HOST=unix:///var/run/docker.sock", "DOCKER_CONFIG=" + buildDir + "/docker", "DOCKER_BUILDKIT=1"},
	}
	h := &container.HostConfig{AutoRemove: true}
	for _, name := range b.Registry.Names {
		h.ExtraHosts = append(h.ExtraHosts, name+":"+cmp.Or(b.Registry.Address, converge.HostGateway))
	}
	if b.Registry.CA != nil {
		c.Env = append(c.Env, "SSL_CERT_DIR=/etc/ssl/certs:"+buildDir+"/ca")
	}
	data := dockerdData
	switch b.Mode {
	case Socket:
		h.Binds = []string{b.Socket + ":/var/run/docker.sock"}
	case Dind:
		h.Privileged = true
		c.Volumes = map[string]struct{}{dockerdData: {}}
		daemon := "dockerd-entrypoint.sh dockerd --host=unix:///var/run/docker.sock --mtu=$(cat /sys/class/net/eth0/mtu)"
		if b.Registry.Plain && b.Registry.Host != "" {
			daemon += " --insecure-registry=" + b.Registry.Host
		}
		c.Entrypoint = []string{"sh", "-c", daemon + " >" + daemonLog + " 2>&1 & exec cat"}
		c.Env = append(c.Env, "DOCKER_TLS_CERTDIR=")
	case Rootless:
		data = buildahData
		h.SecurityOpt = []string{"seccomp=" + rootlessSeccomp(), "apparmor=unconfined"}
		c.Env = append(c.Env, "REGISTRY_AUTH_FILE="+buildDir+"/docker/config.json")
		c.Volumes = map[string]struct{}{buildahData: {}}
	}
	if b.Mode != Socket {
		c.Env = append(c.Env, fmt.Sprintf("HEPTA_BUILD_CACHE=%d", b.CacheSize))
	}
	if b.Cache != "" {
		h.Mounts = []mount.Mount{{Type: mount.TypeVolume, Source: b.Cache, Target: data}}
	}
	return c, h
}

const daemonLog = buildDir + "/dockerd.log"

// settings are the files that a build needs beside its context.
func (b *builder) settings(ctx context.Context) (io.Reader, error) {
	auths, err := b.auths(ctx)
	if err != nil {
		return nil, err
	}
	var pack bytes.Buffer
	w := tar.NewWriter(&pack)
	put := func(name string, mode int64, content []byte) {
		if err == nil {
			err = w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(name, "/"), Mode: mode, Size: int64(len(content))})
		}
		if err == nil {
			_, err = w.Write(content)
		}
	}
	put(buildDir+"/docker/config.json", 0o600, auths)
	for i, secret := range b.Secrets {
		put(secretFile(i), 0o600, []byte(secret.Value.Reveal()))
	}
	if ca := b.Registry.CA; ca != nil {
		put(buildDir+"/ca/ca.crt", 0o644, ca)
		put(dockerauth.AuthorityFile(b.Registry.Host), 0o644, ca)
		put("/etc/containers/certs.d/"+b.Registry.Host+"/ca.crt", 0o644, ca)
	}
	switch b.Mode {
	case Dind:
		put(firstInPath+"dockerd", 0o755, dockerd)
	case Rootless:
		put(firstInPath+"buildah", 0o755, buildah)
	}
	return &pack, errors.Join(err, w.Close())
}

// auths is a docker configuration with the credentials for the registries of
// the build's own tags and base images, and for no others.
func (b *builder) auths(ctx context.Context) ([]byte, error) {
	type entry struct {
		Auth          string `json:"auth,omitempty"`
		IdentityToken string `json:"identitytoken,omitempty"`
		RegistryToken string `json:"registrytoken,omitempty"`
	}
	known := map[string]entry{}
	for _, ref := range append(b.bases, b.Tags...) {
		auth, err := engine.Credentials(ctx, ref)
		if err != nil { // the image may be public all the same
			b.log.Warn("credentials", "image", ref, "error", err)
		}
		if auth.ServerAddress == "" {
			continue
		}
		e := entry{IdentityToken: auth.IdentityToken, RegistryToken: auth.RegistryToken}
		if auth.Username != "" {
			e.Auth = base64.StdEncoding.EncodeToString([]byte(auth.Username + ":" + auth.Password))
		}
		known[auth.ServerAddress] = e
	}
	return json.Marshal(map[string]any{"auths": known})
}

// send unpacks a tar file at the root of the container.
func (s *buildSite) send(ctx context.Context, pack io.Reader) error {
	return s.b.docker.CopyToContainer(ctx, s.id, "/", pack, container.CopyToContainerOptions{})
}

// daemon waits for a Docker daemon of the build's own.
func (s *buildSite) daemon(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, daemonStart)
	defer cancel()
	for {
		r, err := s.b.engine.Exec(limited, s.id, engine.ExecOptions{Cmd: []string{"docker", "version"}, Env: s.env})
		if err == nil && r.ExitCode == 0 {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
			continue
		case <-limited.Done():
		}
		if ctx.Err() != nil {
			return fmt.Errorf("start Docker daemon for the build: %w", context.Cause(ctx))
		}
		log, _ := s.b.engine.Exec(ctx, s.id, engine.ExecOptions{Cmd: []string{"tail", "-n", "15", daemonLog}})
		return &fault.Error{Op: "build", What: s.b.name(), Why: "the build's own Docker daemon does not start; its last words:\n" + string(log.Stdout),
			Remedy: "Build in mode socket or rootless."}
	}
}

// exec runs a command and tells each line that it prints; the last ones are
// given back with its exit code.
func (s *buildSite) exec(ctx context.Context, cmd []string) (tail []string, code int, err error) {
	out := &lines{tell: s.b.line, mask: s.b.mask()}
	code, err = s.b.engine.ExecInteractive(ctx, s.id, engine.ExecOptions{Cmd: cmd, Env: s.env, Stdout: out, Stderr: out})
	out.flush()
	return out.tail, code, err
}

// read gives what a command prints, without the final newline.
func (s *buildSite) read(ctx context.Context, cmd ...string) (string, error) {
	r, err := s.b.engine.Exec(ctx, s.id, engine.ExecOptions{Cmd: cmd, Env: s.env})
	if err != nil {
		return "", err
	}
	if r.ExitCode != 0 {
		return "", fmt.Errorf("%s in the build's container: exit code %d: %s", cmd[0], r.ExitCode, bytes.TrimSpace(r.Stderr))
	}
	return strings.TrimSpace(string(r.Stdout)), nil
}

// close removes the container and returns when it is gone.
func (s *buildSite) close() {
	ctx, cancel := context.WithTimeout(context.Background(), siteCleanup)
	defer cancel()
	gone, failed := s.b.docker.ContainerWait(ctx, s.id, container.WaitConditionRemoved)
	err := s.b.docker.ContainerRemove(ctx, s.id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if s.conn.Conn != nil {
		s.conn.Close()
	}
	switch {
	case errdefs.IsNotFound(err):
		return
	case err != nil && !errdefs.IsConflict(err): // a conflict is its removal under way
		s.b.log.Warn("remove build container", "id", s.id, "error", err)
		return
	}
	select {
	case <-gone:
	case <-failed: // gone before the wait began
	}
}

// startFault says why a build's container does not start.
func (b *builder) startFault(verb string, err error) error {
	text := strings.ToLower(err.Error())
	refused := strings.Contains(text, "privileged") || strings.Contains(text, "unable to apply caps") || strings.Contains(text, "operation not permitted")
	if b.Mode == Dind && refused {
		return &fault.Error{Op: "build", What: b.name(), Why: "the Engine runs no privileged containers, which mode dind needs",
			Remedy: "Build in mode rootless, or in mode socket if you may use this Engine as you like.", Err: errors.Join(ErrNoPrivileges, err)}
	}
	return fmt.Errorf("%s build container: %w", verb, err)
}

// registryHost is the registry that an image comes from, as it is written.
func registryHost(ref string) string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "the registry"
	}
	return reference.Domain(named)
}

// lines passes text on line by line and keeps the last ones.
type lines struct {
	tell func(string)
	mask *strings.Replacer // nil: nothing is hidden
	rest []byte
	tail []string
}

// keptLines is how many of the builder's last lines an error shows.
const keptLines = 20

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		l.take(line)
		l.rest = rest
	}
}

func (l *lines) flush() {
	l.take(l.rest)
	l.rest = nil
}

func (l *lines) take(line []byte) {
	text := strings.TrimRight(string(line), " \t\r")
	if text == "" {
		return
	}
	if l.mask != nil {
		text = l.mask.Replace(text)
	}
	l.tell(text)
	l.tail = append(l.tail, text)
	if len(l.tail) > keptLines {
		l.tail = l.tail[1:]
	}
}

package heptapodcontainer_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/testcontainers/testcontainers-go"
	gitlab "gitlab.com/gitlab-org/api/client-go"
	"golang.org/x/crypto/ssh"

	"github.com/heptaup/hepta/heptapod/heptapodcontainer"
	"github.com/heptaup/hepta/internal/images"
	"github.com/heptaup/hepta/runner"
)

// One forge with everything beside it: what it hands out works for the test,
// for a job and for the Engine, and all goes with it.
func TestRun(t *testing.T) {
	before := map[string]bool{} // what jobs of an earlier, killed run left
	for _, c := range ours(t) {
		before[c.ID] = true
	}
	var volumes []string
	t.Run("serves", func(t *testing.T) {
		everything(t)
		for _, c := range ours(t) {
			for _, m := range c.Mounts {
				if m.Type == mount.TypeVolume {
					volumes = append(volumes, m.Name)
				}
			}
		}
	})
	for _, c := range ours(t) {
		if !before[c.ID] {
			t.Errorf("container %s is left", c.Names[0])
		}
	}
	if len(volumes) < 3 {
		t.Errorf("the forge had %d volumes", len(volumes))
	}
	for _, name := range volumes {
		if _, err := outer.Docker.VolumeInspect(t.Context(), name); !errdefs.IsNotFound(err) {
			t.Errorf("volume %s is left: %v", name, err)
		}
	}
}

func everything(t *testing.T) {
	key, authorized := newKey(t)
	forge, err := heptapodcontainer.Run(t.Context(), forgeImage,
		heptapodcontainer.WithSSH(authorized),
		heptapodcontainer.WithRegistry(),
		heptapodcontainer.WithGitLabRB("gitlab_rails['gitlab_default_theme'] = 2"),
		heptapodcontainer.WithRunner(outer.Refs[images.Runner].Local,
			heptapodcontainer.WithTags("engine"),
			heptapodcontainer.WithMode(runner.Socket),
			heptapodcontainer.WithJobImage(outer.Refs[images.DockerCLI].Local),
			heptapodcontainer.WithHelperImage(outer.Refs[images.Helper].Local),
			heptapodcontainer.WithRunnerConfig(func(_ *runner.Config, r *runner.Runner) {
				r.Docker = map[string]any{"pull_policy": "if-not-present"}
			}),
		),
		testcontainers.WithLabels(map[string]string{"heptapodcontainer.test": t.Name()}),
	)
	testcontainers.CleanupContainer(t, forge)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("lets a job push an image", func(t *testing.T) { jobs(t, forge) })
	t.Run("is reached by ssh", func(t *testing.T) { sshAccess(t, forge, key) })
	t.Run("keeps Mercurial", func(t *testing.T) { mercurial(t, forge) })
	t.Run("takes images from the Engine", func(t *testing.T) { pushAndPull(t, forge) })
	t.Run("has one token", func(t *testing.T) {
		first, second := must(forge.Token(t.Context())), must(forge.Token(t.Context()))
		if first == "" || first != second {
			t.Error("two calls give different tokens")
		}
	})
	t.Run("has the caller's lines in gitlab.rb and labels", func(t *testing.T) {
		r := must(forge.CopyFileFromContainer(t.Context(), "/etc/gitlab/gitlab.rb"))
		defer r.Close()
		if text := string(must(io.ReadAll(r))); !strings.HasSuffix(text, "gitlab_rails['gitlab_default_theme'] = 2\n") {
			t.Errorf("gitlab.rb ends otherwise:\n%s", text)
		}
		if labels := must(forge.Inspect(t.Context())).Config.Labels; labels["heptapodcontainer.test"] != t.Name()[:strings.LastIndexByte(t.Name(), '/')] {
			t.Errorf("labels: %v", labels)
		}
	})
}

const pipeline = `build:
  tags: [engine]
  script:
    - echo "FROM $BASE" > Dockerfile
    - docker login -u "$CI_REGISTRY_USER" -p "$CI_REGISTRY_PASSWORD" "$CI_REGISTRY"
    - docker build -t "$CI_REGISTRY_IMAGE:1" .
    - docker push "$CI_REGISTRY_IMAGE:1"
    - docker rmi "$CI_REGISTRY_IMAGE:1"
    - docker pull "$CI_REGISTRY_IMAGE:1"
    - docker rmi "$CI_REGISTRY_IMAGE:1"
    - echo made by $CI_SERVER_URL
`

// jobs pushes a project with git and lets the runner build it.
func jobs(t *testing.T, forge *heptapodcontainer.Container) {
	ctx := t.Context()
	client := must(forge.Client(ctx))
	project := newProject(t, client, "things", "git")
	dir := checkout(t, map[string]string{".gitlab-ci.yml": "variables: {BASE: " + outer.Refs[images.Small].Local + "}\n" + pipeline})
	git(t, dir, "push", "-q", forge.CloneURL("root/things"), "HEAD:main")

	var job *gitlab.Job
	deadline := time.Now().Add(3 * time.Minute)
	for job == nil || !slices.Contains([]string{"success", "failed", "canceled"}, job.Status) {
		list, _, err := client.Jobs.ListProjectJobs(project.ID, nil, gitlab.WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if len(list) > 0 {
			job = list[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("the job does not end: %+v", job)
		}
		time.Sleep(200 * time.Millisecond)
	}
	trace, _, err := client.Jobs.GetTraceFile(project.ID, job.ID, gitlab.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	text := string(must(io.ReadAll(trace)))
	if job.Status != "success" || !strings.Contains(text, "made by "+must(forge.URL(ctx))) {
		t.Errorf("the job ended with %s:\n%s", job.Status, text)
	}
}

// sshAccess pushes and clones by ssh with the key that root was given.
func sshAccess(t *testing.T, forge *heptapodcontainer.Container, key string) {
	newProject(t, must(forge.Client(t.Context())), "by-ssh", "git")
	dir := checkout(t, map[string]string{"a": "b\n"})
	t.Setenv("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o IdentitiesOnly=yes -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR -i "+key)
	git(t, dir, "push", "-q", forge.SSHCloneURL("root/by-ssh"), "HEAD:main")
	git(t, dir, "clone", "-q", "-b", "main", forge.SSHCloneURL("root/by-ssh"), "again")
	if text := must(os.ReadFile(filepath.Join(dir, "again", "a"))); string(text) != "b\n" {
		t.Errorf("cloned %q", text)
	}
}

// mercurial pushes and clones by HTTP.
func mercurial(t *testing.T, forge *heptapodcontainer.Container) {
	newProject(t, must(forge.Client(t.Context())), "hg", "hg")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("b\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	from := forge.CloneURL("root/hg")
	for _, args := range [][]string{{"init"}, {"commit", "-q", "-A", "-m", "first", "-u", "test"}, {"push", "-q", from}, {"clone", "-q", from, "again"}} {
		tool(t, dir, "hg", args...)
	}
	if text := must(os.ReadFile(filepath.Join(dir, "again", "a"))); string(text) != "b\n" {
		t.Errorf("cloned %q", text)
	}
}

// pushAndPull lets the Engine keep an image in the forge's registry.
func pushAndPull(t *testing.T, forge *heptapodcontainer.Container) {
	ctx := t.Context()
	newProject(t, must(forge.Client(ctx)), "kept", "hg")
	auth := registry.AuthConfig{Username: "root", Password: forge.RootPassword(), ServerAddress: forge.Registry()}
	if _, err := outer.Docker.RegistryLogin(ctx, auth); err != nil {
		t.Fatalf("log in: %v", err)
	}
	encoded := base64.URLEncoding.EncodeToString(must(json.Marshal(auth)))
	ref := forge.Registry() + "/root/kept:1"
	if err := outer.Docker.ImageTag(ctx, outer.Refs[images.Small].Local, ref); err != nil {
		t.Fatal(err)
	}
	untag := func() {
		if _, err := outer.Docker.ImageRemove(context.WithoutCancel(ctx), ref, image.RemoveOptions{}); err != nil {
			t.Error(err)
		}
	}
	stream, err := outer.Docker.ImagePush(ctx, ref, image.PushOptions{RegistryAuth: encoded})
	drain(t, "push", stream, err)
	untag()
	stream, err = outer.Docker.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: encoded})
	drain(t, "pull", stream, err)
	untag()
}

func drain(t *testing.T, what string, stream io.ReadCloser, err error) {
	t.Helper()
	if err == nil {
		defer stream.Close()
		err = jsonmessage.DisplayJSONMessagesStream(stream, io.Discard, 0, false, nil)
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// newProject makes a project that is kept with git or hg, a choice that GitLab
// itself, and so its client, does not have.
func newProject(t *testing.T, client *gitlab.Client, name, vcs string) *gitlab.Project {
	t.Helper()
	req, err := client.NewRequest(http.MethodPost, "projects", map[string]string{"name": name, "vcs_type": vcs}, []gitlab.RequestOptionFunc{gitlab.WithContext(t.Context())})
	if err != nil {
		t.Fatal(err)
	}
	var p gitlab.Project
	if _, err := client.Do(req, &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

// checkout makes a git repository with one commit.
func checkout(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "init", "-q")
	git(t, dir, "add", ".")
	git(t, dir, "-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "-q", "-m", "first")
	return dir
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	tool(t, dir, "git", args...)
}

// tool runs git or hg with nobody's settings. The arguments may hold a
// password, so that a failure names the first one alone.
func tool(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "HGRCPATH=", "HGPLAIN=1", "no_proxy=*")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, args[0], err, out)
	}
}

// newKey makes an ssh key: a file with the private one, and the public one.
func newKey(t *testing.T) (file, authorized string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return file, string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(signer)))
}

// ours are the containers of this package, and of jobs with its images.
func ours(t *testing.T) []container.Summary {
	t.Helper()
	list, err := outer.Docker.ContainerList(t.Context(), container.ListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(c container.Summary) bool {
		_, started := c.Labels["heptapodcontainer.url"]
		_, job := c.Labels["com.gitlab.gitlab-runner.runner.id"]
		image := c.ImageID == outer.Refs[images.Helper].ID || c.ImageID == outer.Refs[images.DockerCLI].ID
		return !started && !(job && image)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

package heptapodcontainer_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/testcontainers/testcontainers-go"

	"github.com/heptaup/hepta/heptapod/heptapodcontainer"
)

// A forge that refuses its settings says so at once, and is there to be
// removed.
func TestRunFails(t *testing.T) {
	forge, err := heptapodcontainer.Run(t.Context(), forgeImage, heptapodcontainer.WithGitLabRB("nginxx['listen_port'] = 80"))
	testcontainers.CleanupContainer(t, forge)
	if err == nil {
		t.Fatal("it runs")
	}
	for _, want := range []string{"run heptapod: ", "exit code 1", "unsupported config key 'nginxx'"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if forge == nil {
		t.Fatal("there is nothing to remove")
	}
	if strings.Contains(err.Error(), forge.RootPassword()) {
		t.Error("the error holds the password")
	}

	none, err := heptapodcontainer.Run(t.Context(), forgeImage, heptapodcontainer.WithHost("nowhere"))
	testcontainers.CleanupContainer(t, none)
	if none != nil || err == nil || !strings.HasPrefix(err.Error(), "run heptapod: ") {
		t.Errorf("a bad option: %v, %v", none, err)
	}
}

// A port that somebody else took in the meantime costs another attempt; what
// the caller adds is there all the same.
func TestRunTriesOtherPorts(t *testing.T) {
	first, err := heptapodcontainer.Run(t.Context(), forgeImage)
	testcontainers.CleanupContainer(t, first)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := first.MappedPort(t.Context(), "80/tcp")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	second, err := heptapodcontainer.Run(t.Context(), forgeImage,
		heptapodcontainer.WithPorts(func(n int) ([]int, error) {
			if asked++; asked < 3 {
				return []int{taken.Int(), 0, 0}, nil
			}
			return heptapodcontainer.FreePorts(n)
		}),
		testcontainers.WithFiles(testcontainers.ContainerFile{Reader: strings.NewReader("mine"), ContainerFilePath: "/mine", FileMode: 0o600}),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) { h.ShmSize = 300 << 20 }),
		heptapodcontainer.WithRootPassword("a choice of its own"),
	)
	testcontainers.CleanupContainer(t, second)
	if err != nil {
		t.Fatal(err)
	}
	if asked != 3 {
		t.Errorf("%d attempts, want 3", asked)
	}
	if must(first.URL(t.Context())) == must(second.URL(t.Context())) {
		t.Error("two forges have one address")
	}
	r := must(second.CopyFileFromContainer(t.Context(), "/mine"))
	defer r.Close()
	if text := string(must(io.ReadAll(r))); text != "mine" {
		t.Errorf("the caller's file holds %q", text)
	}
	host := must(second.Inspect(t.Context())).HostConfig
	if host.ShmSize != 300<<20 || len(host.PortBindings) != 1 {
		t.Errorf("shm %d, ports %v", host.ShmSize, host.PortBindings)
	}
	if second.RootPassword() != "a choice of its own" {
		t.Error("it has another password")
	}
	newProject(t, must(second.Client(t.Context())), "mine", "git")
	dir := checkout(t, map[string]string{"a": "b"})
	git(t, dir, "push", "-q", second.CloneURL("root/mine"), "HEAD:main") // as root, with the password
}

// A forge that is reused is the one that was there, with its address and
// password.
func TestRunReuses(t *testing.T) {
	const name = "heptapodcontainer-reused"
	first, err := heptapodcontainer.Run(t.Context(), forgeImage, testcontainers.WithReuseByName(name), heptapodcontainer.WithRegistry())
	testcontainers.CleanupContainer(t, first)
	if err != nil {
		t.Fatal(err)
	}
	again, err := heptapodcontainer.Run(t.Context(), forgeImage, testcontainers.WithReuseByName(name))
	if err != nil {
		t.Fatal(err)
	}
	if first.GetContainerID() != again.GetContainerID() || first.RootPassword() != again.RootPassword() || first.Registry() != again.Registry() ||
		first.CloneURL("x") != again.CloneURL("x") {
		t.Error("the second is another one")
	}
	if _, err := again.Token(t.Context()); err != nil {
		t.Error(err)
	}
}

// A context that ends, ends Run.
func TestRunIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	forge, err := heptapodcontainer.Run(ctx, forgeImage, testcontainers.WithAdditionalLifecycleHooks(testcontainers.ContainerLifecycleHooks{
		PostStarts: []testcontainers.ContainerHook{func(context.Context, testcontainers.Container) error { cancel(); return nil }},
	}))
	testcontainers.CleanupContainer(t, forge)
	if err == nil || forge == nil {
		t.Errorf("%v, %v", forge, err)
	}
}

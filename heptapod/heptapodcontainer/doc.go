// Package heptapodcontainer is a module for testcontainers-go: Heptapod, or
// GitLab, in a container of its own for the time of a test, with a runner and
// the container registry on request.
//
//	forge, err := heptapodcontainer.Run(ctx, "octobus/heptapod:17.8", heptapodcontainer.WithRunner(""))
//	testcontainers.CleanupContainer(t, forge)
//	if err != nil {
//		t.Fatal(err)
//	}
//	client, err := forge.Client(ctx)
//
// Any image of octobus/heptapod or gitlab/gitlab-ce works, and any that keeps
// their contract. The tag should name the release: it decides which settings
// gitlab.rb gets. The first boot takes minutes and about 4 GiB of memory.
//
// # Addresses
//
// The forge has one URL for everybody: the test, the jobs of its runners, the
// Engine. It is an IP address and a published port. Where the Engine is reached
// by its socket, the address is the host's on the Engine's bridge; where the
// test cannot reach that, as with Docker Desktop, it is one of the test's own
// machine; where the Engine is reached by TCP, it is that machine's. WithHost
// overrides it. Run fails if the forge does not answer there.
//
// The registry speaks plain HTTP, which an Engine only does with registries on
// its own loopback unless it is told otherwise. Registry is therefore
// 127.0.0.1:PORT. That works for everything that goes through the Engine that
// runs the forge: docker login, push and pull of the test, of its runners and of
// jobs with that Engine's socket, and CI_REGISTRY names it in jobs. A program that
// speaks to registries by itself (crane, buildah, a job's own daemon) finds the
// same repositories at RegistryEndpoint and has to be told that they are insecure.
package heptapodcontainer

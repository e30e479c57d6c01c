package registry_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/heptaup/hepta/registry"
)

// What a Docker client would stumble over, before it does.
func ExampleProbe() {
	report, err := registry.Probe(context.Background(), nil, "https://registry.example.org",
		registry.ForForge("https://hg.example.org"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range report.Findings {
		if !f.OK {
			fmt.Printf("%s: %s\n%s\n%s\n", f.Check, f.Saw, f.Means, f.Remedy)
		}
	}
}

// Log in with an access token and keep it where Docker finds it.
func ExampleLogin() {
	path, err := registry.DockerConfig()
	if err != nil {
		fmt.Println(err)
		return
	}
	alice := registry.Credentials{User: "alice", Password: registry.NewSecret("glpat-…")}
	if err := registry.Login(context.Background(), nil, "registry.example.org", alice, registry.SaveTo(path)); err != nil {
		fmt.Println(err)
	}
}

func ExampleLogin_missing() {
	err := registry.Login(context.Background(), nil, "registry.example.org", registry.Credentials{User: "alice"})
	fmt.Println(err)
	// Output: log in to registry.example.org: user or password is missing
}

// Push, pull and remove an image, to know that others can.
func ExampleCheck() {
	alice := registry.Credentials{User: "alice", Password: registry.NewSecret("glpat-…")}
	report, err := registry.Check(context.Background(), nil, "https://registry.example.org", "group/project", alice)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range report.Findings {
		fmt.Println(f.OK, f.Check, f.Saw)
	}
}

// A Secret with which Kubernetes pulls, and what Flux scans the registry with.
func ExamplePullSecret() {
	text, err := registry.PullSecret{
		Namespaces:  []string{"flux-system"},
		Host:        "registry.example.org",
		Credentials: registry.Credentials{User: "k8s", Password: registry.NewSecret("gldt-…")},
		Flux:        &registry.Flux{Image: "group/app", Numerical: "asc", Pattern: `^main-(?P<ts>[0-9]+)$`, Extract: "$ts"},
	}.YAML()
	if err != nil {
		fmt.Println(err)
		return
	}
	_, policy, _ := strings.Cut(string(text), "kind: ImagePolicy\n")
	fmt.Print(policy)
	// Output:
	// metadata:
	//   name: app
	//   namespace: flux-system
	// spec:
	//   imageRepositoryRef:
	//     name: app
	//   filterTags:
	//     pattern: ^main-(?P<ts>[0-9]+)$
	//     extract: $ts
	//   policy:
	//     numerical:
	//       order: asc
	// #
	// # Pods that pull name it in their spec:
	// #   imagePullSecrets: [{name: regcred}]
	// # or their service account does, for all its pods:
	// #   kubectl patch serviceaccount default --namespace flux-system --patch '{"imagePullSecrets": [{"name": "regcred"}]}'
}

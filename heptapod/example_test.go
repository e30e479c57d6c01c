package heptapod_test

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/heptaup/hepta/heptapod"
)

func ExampleGitlabRB() {
	text, err := heptapod.GitlabRB(heptapod.Config{
		Host:     "hg.example.org",
		Registry: &heptapod.Registry{ExternalURL: "https://registry.example.org"},
		Ruby:     "gitlab_rails['time_zone'] = 'Europe/Rome'",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "external_url") || strings.Contains(line, "time_zone") {
			fmt.Print(line)
		}
	}
	// Output:
	// external_url 'https://hg.example.org'
	// registry_external_url 'https://registry.example.org'
	// gitlab_rails['time_zone'] = 'Europe/Rome'
}

func ExampleConfig_Validate() {
	err := heptapod.Config{Host: "https://hg.example.org", Memory: 1 << 30}.Validate()
	fmt.Println(err)
	// Output:
	// read configuration heptapod.memory: 1024 MiB are not enough: the forge would be killed while it boots
	// read configuration heptapod.host: "https://hg.example.org" is no host name
}

func ExampleNew() {
	forge, err := heptapod.New(heptapod.Config{Host: "hg.example.org", Image: "octobus/heptapod:17.8.1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(forge.URL(), "is", forge.ContainerName())
	// Output: https://hg.example.org is hepta-heptapod
}

func ExampleParseVersion() {
	v, err := heptapod.ParseVersion("octobus/heptapod:0.38.1")
	fmt.Println(v, v.GitLab(), v.Heptapod, err)
	// Output: 0.38.1 15.11 true <nil>
}

func ExamplePhase() {
	for _, line := range []string{"Configuring GitLab...", "gitlab Reconfigured!", "anything else"} {
		fmt.Printf("%q\n", heptapod.Phase(line))
	}
	// Output:
	// "reconfigure"
	// "starting services"
	// ""
}

func ExampleNewClient() {
	client, err := heptapod.NewClient("https://hg.example.org", heptapod.NewSecret("glpat-…"), http.DefaultClient)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.BaseURL())
	// Output: https://hg.example.org/api/v4/
}

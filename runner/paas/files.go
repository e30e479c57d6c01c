package paas

import (
	"fmt"
	"strings"
)

// Files are what is handed over: names and contents.
type Files map[string][]byte

const onHost = "/etc/heptapod-runner/"

// HandOverFiles are the definition of an image that runs one job, the
// configuration of the runner in it, and the job as the coordinator gave it,
// with its images through the Dependency Proxy.
// They hold the runner's token and all secrets of the job.
func HandOverFiles(r Runner, job Job) (Files, error) {
	config, err := r.Inner()
	if err != nil {
		return nil, err
	}
	payload, err := throughProxy([]byte(job.Payload.Reveal()))
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(r.Image, " \t\r\n") {
		return nil, fmt.Errorf("render Dockerfile: heptapod_runner_main_image is not the name of an image")
	}
	return Files{
		"Dockerfile": fmt.Appendf(nil, "FROM %s\nCOPY runner.toml job.json %s\nENV DEBUG=\"true\"\n"+
			"ENTRYPOINT [\"/usr/bin/gitlab-runner\", \"exec-fetched-job\", \"--config\", \"%srunner.toml\", \"%sjob.json\"]\n", r.Image, onHost, onHost, onHost),
		"runner.toml": config,
		"job.json":    payload,
	}, nil
}

// Command double plays Traefik, HAProxy, Heptapod and GitLab Runner by the name that it
// is called by, as far as hepta relies on them: it starts at once, answers what
// it is asked, and keeps the forge's runners and tokens in the data directory.
// The environment variable DOUBLE makes it fail.
package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	forgeURL    = "http://localhost:80"
	gitlabRB    = "/etc/gitlab/gitlab.rb"
	secretsFile = "/etc/gitlab/gitlab-secrets.json"
	applied     = "/var/opt/gitlab/reconfigured" // the gitlab.rb that is in force
	bootMark    = "/var/opt/gitlab/bootstrapped"
	goOn        = "/var/opt/gitlab/go-on" // ends the boot of what is late
)

func main() {
	if err := play(filepath.Base(os.Args[0]), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "double:", err)
		os.Exit(1)
	}
}

func play(role string, args []string) error {
	switch role {
	case "traefik":
		if slices.Contains(args, "healthcheck") {
			return nil
		}
		return untilTold(func() error { return nil })
	case "haproxy":
		return untilTold(func() error { return nil })
	case "init-container":
		return untilTold(boot)
	case "gitlab-healthcheck":
		if os.Getenv("DOUBLE") == "sick" || os.Getenv("DOUBLE") == "late" && !there(goOn) {
			return fmt.Errorf("puma is not there")
		}
		_, err := call(http.MethodGet, "/-/readiness", nil)
		return err
	case "gitlab-ctl":
		if slices.Contains(args, "reconfigure") {
			return reconfigure()
		}
		return nil
	case "gitlab-rails":
		if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
			return err
		}
		token, err := call(http.MethodPost, "/double/token", nil)
		if err != nil {
			return err
		}
		fmt.Printf("HEPTA_TOKEN=%s\nHEPTA_EXPIRES=%s\n", token, time.Now().AddDate(0, 0, 30).UTC().Format(time.DateOnly))
		return nil
	case "curl":
		return curl(args)
	case "gitlab-runner":
		if slices.Contains(args, "verify") {
			return verify(args[len(args)-1])
		}
		return untilTold(func() error { go contact(); return nil })
	}
	return fmt.Errorf("nobody is called %s", role)
}

// untilTold is a container's life: what its start does, then waiting for a signal.
func untilTold(start func() error) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGINT)
	if os.Getenv("DOUBLE") == "exit" {
		fmt.Println("FATAL: the configuration is refused")
		os.Exit(3)
	}
	if err := start(); err != nil {
		return err
	}
	fmt.Println("serving")
	<-told
	return nil
}

// boot is the forge's start: secrets before the database, as the image does.
func boot() error {
	if _, err := os.Stat(secretsFile); err != nil {
		if err := replace(secretsFile, []byte(rand.Text())); err != nil {
			return err
		}
	}
	if err := replace(bootMark, nil); err != nil {
		return err
	}
	if err := reconfigure(); err != nil {
		return err
	}
	f, err := openForge("/var/opt/gitlab/forge.json")
	if err != nil {
		return err
	}
	go func() { panic(http.ListenAndServe(":80", f)) }()
	return nil
}

func reconfigure() error {
	b, err := os.ReadFile(gitlabRB)
	if err != nil {
		return err
	}
	if bytes.Contains(b, []byte("double_refuses")) {
		return fmt.Errorf("no such setting: double_refuses")
	}
	return replace(applied, b)
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func replace(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func call(method, path string, body io.Reader) (string, error) {
	req, err := http.NewRequest(method, forgeURL+path, body)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return string(b), err
}

var option = regexp.MustCompile(`(?m)^(url|request|header) = "(.*)"$`)

// curl sends what a configuration describes, or asks whether the forge serves.
func curl(args []string) error {
	at := slices.Index(args, "--config")
	if at < 0 {
		if _, err := call(http.MethodGet, "/-/readiness", nil); err != nil {
			return err
		}
		fmt.Print("200")
		return nil
	}
	config, err := os.ReadFile(args[at+1])
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodGet, "", os.Stdin)
	if err != nil {
		return err
	}
	for _, m := range option.FindAllSubmatch(config, -1) {
		value := strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(string(m[2]))
		switch string(m[1]) {
		case "url":
			req.URL, err = req.URL.Parse(value)
		case "request":
			req.Method = value
		case "header":
			if name, text, _ := strings.Cut(value, ":"); text != "" && name != "Host" {
				req.Header.Set(name, strings.TrimSpace(text))
			}
		}
		if err != nil {
			return err
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return resp.Write(os.Stdout)
}

// section is what config.toml says of one runner: its forge and its token.
var section = regexp.MustCompile(`(?s)url = ["']https://hg\.(\w+)\.test[^"']*["'].*?token = ["']([^"']*)["']|token = ["']([^"']*)["'].*?url = ["']https://hg\.(\w+)\.test`)

// verify logs what a runner does whose tokens a forge knows nothing of.
func verify(file string) error {
	config, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for _, m := range regexp.MustCompile(`(?m)^token = "(.*)"$`).FindAllSubmatch(config, -1) {
		fmt.Printf("ERROR: Verifying runner... is removed  runner=%s\n", m[1])
	}
	return nil
}

// contact tells the forge again and again which runners are in config.toml. It
// calls the forge by its container's name, which differs between stacks on one
// network.
func contact() {
	for {
		if b, err := os.ReadFile("/etc/gitlab-runner/config.toml"); err == nil {
			for _, m := range section.FindAllSubmatch(b, -1) {
				stack, token := slices.Concat(m[1], m[4]), slices.Concat(m[2], m[3])
				resp, err := http.Post(fmt.Sprintf("http://%s-heptapod/double/contact", stack), "text/plain", bytes.NewReader(token))
				if err == nil {
					resp.Body.Close()
				}
			}
		}
		time.Sleep(300 * time.Millisecond)
	}
}

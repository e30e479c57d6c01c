package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// greeting is how the image begins. heptapod-docker 1.2, 1.3.
const greeting = `Thank you for using GitLab Docker Image!
Current version: heptapod=%s

Configure GitLab for your system by editing /etc/gitlab/gitlab.rb file
And restart this container to reload settings.
To do it use docker exec:

  docker exec -it gitlab editor /etc/gitlab/gitlab.rb
  docker restart gitlab

For a comprehensive list of configuration options please see the Omnibus GitLab readme
https://gitlab.com/gitlab-org/omnibus-gitlab/blob/master/README.md

If this container fails to start due to permission problems try to fix it by executing:

  docker exec -it gitlab update-permissions
  docker restart gitlab

`

// boot is the container's first process: it configures the forge, serves it
// and, once ctx is done, stops everything in order.
func boot(ctx context.Context) error {
	fmt.Printf(greeting, emulated())
	if err := checkUpgrade(os.Stdout); err != nil {
		return err
	}
	if err := prepare(); err != nil {
		return err
	}
	appLog, err := openLog("gitlab-rails", "production_json.log")
	if err != nil {
		return err
	}
	defer appLog.Close()
	webLog, err := openLog("nginx", "gitlab_error.log")
	if err != nil {
		return err
	}
	defer webLog.Close()
	d := newDaemon(slog.New(slog.NewJSONHandler(appLog, nil)), log.New(webLog, "", log.LstdFlags))

	ln, err := listenUnix(controlSocket, 0)
	if err != nil {
		return err
	}
	control := &http.Server{Handler: d.control(), ReadHeaderTimeout: time.Minute}
	defer control.Close()
	go control.Serve(ln)

	err = d.configure(ctx)
	if err == nil && os.Getenv("GITLAB_SKIP_TAIL_LOGS") != "true" {
		tail := tailLogs(ctx, nil, os.Stdout)
		if err = tail.Start(); err == nil {
			defer tail.Wait()
		}
	}
	if err == nil {
		<-ctx.Done()
		fmt.Println("SIGTERM signal received, try to gracefully shutdown all services...")
	}
	stopped := d.services.stopAll(func(s status) { fmt.Println("ok: " + s.line()) })
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, stopped, d.forge.close())
}

// configure brings the services up under the present settings.
func (d *daemon) configure(ctx context.Context) error {
	fmt.Println("Preparing services...")
	fmt.Println("Starting services...")
	if err := script(ctx, "GITLAB_PRE_RECONFIGURE_SCRIPT"); err != nil {
		return err
	}
	out := io.Writer(os.Stdout)
	if _, err := os.Stat(bootstrapped); err == nil && os.Getenv("GITLAB_SKIP_RECONFIGURE") == "true" {
		// The settings in force are taken over without a word.
		out = io.Discard
	} else {
		fmt.Println("Configuring GitLab...")
	}
	if err := reconfigure(ctx, out); err != nil {
		return err
	}
	return script(ctx, "GITLAB_POST_RECONFIGURE_SCRIPT")
}

// checkUpgrade refuses data of a version from which no way leads here.
func checkUpgrade(out io.Writer) error {
	b, err := os.ReadFile(versionFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read version of the data: %w", err)
	}
	text, err := upgradeRefusal(string(b), gitlab(), os.Getenv("MIN_VERSION"))
	if err != nil {
		return err
	}
	if text == "" {
		return nil
	}
	fmt.Fprintln(out, text)
	return errors.New("")
}

// prepare makes what the volumes lack and clears what a former life left.
func prepare() error {
	for _, d := range []struct {
		path string
		mode fs.FileMode
	}{
		{etcDir, 0o775}, {dataDir, 0o755}, {logDir, 0o755}, {runDir, 0o755}, {"/run/sshd", 0o755},
		{dataDir + "/gitlab-rails", 0o755}, {dataDir + "/gitlab-rails/shared", 0o751}, {forgeDir, 0o700},
	} {
		if err := os.MkdirAll(d.path, d.mode); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	if _, err := os.Stat(gitlabRB); errors.Is(err, fs.ErrNotExist) {
		b, err := os.ReadFile(templateFile)
		if err != nil {
			return fmt.Errorf("read settings template: %w", err)
		}
		if err := os.WriteFile(gitlabRB, b, 0o600); err != nil {
			return fmt.Errorf("write settings: %w", err)
		}
	}
	fmt.Println("Cleaning stale PIDs & sockets")
	sockets, err := filepath.Glob(dataDir + "/*/sockets/*.socket")
	if err != nil {
		return fmt.Errorf("look for stale sockets: %w", err)
	}
	for _, s := range sockets {
		if err := os.Remove(s); err != nil {
			return fmt.Errorf("remove stale socket: %w", err)
		}
	}
	return hostKeys(etcDir, func(text string) { fmt.Println(text) })
}

// script runs a shell script that an environment variable holds.
func script(ctx context.Context, variable string) error {
	text := os.Getenv(variable)
	if text == "" {
		return nil
	}
	fmt.Println("Running " + variable + "...")
	cmd := exec.CommandContext(ctx, "sh", "-c", text)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w", variable, err)
	}
	return nil
}

// tailLogs follows the logs of services, of all when none is named.
func tailLogs(ctx context.Context, services []string, out io.Writer) *exec.Cmd {
	if len(services) == 0 {
		services = []string{"*"}
	}
	args := []string{"--follow=name", "--retry"}
	for _, s := range services {
		for _, pattern := range []string{"current", "*.log"} {
			files, err := filepath.Glob(filepath.Join(logDir, s, pattern))
			if err == nil {
				args = append(args, files...)
			}
		}
	}
	cmd := exec.CommandContext(ctx, "tail", args...)
	cmd.Stdout, cmd.Stderr = out, io.Discard
	return cmd
}

package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// reconfigure does what gitlab-ctl reconfigure does, with its words: it
// evaluates the settings, makes what is missing, and has the first process
// bring the services in line.
func reconfigure(ctx context.Context, out io.Writer) error {
	began := time.Now()
	version, err := parseRelease(gitlab())
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "Starting Chef Infra Client, version 18.3.0")
	fmt.Fprintln(out, "Infra Phase starting")
	s, err := evaluate(ctx, out)
	if err != nil {
		return err
	}
	if lines := s.removed(version); len(lines) > 0 {
		fmt.Fprintln(out, "Running handlers:")
		fmt.Fprintln(out, "There was an error running gitlab-ctl reconfigure:")
		fmt.Fprintln(out)
		return fmt.Errorf("Removed configurations found in gitlab.rb. Aborting reconfigure.\n\n%s", strings.Join(lines, "\n"))
	}
	a := application{Settings: s}
	generated := ""
	_, err = os.Stat(bootstrapped)
	first := errors.Is(err, fs.ErrNotExist)
	if first {
		if a.Seed, generated, err = firstSeed(s); err != nil {
			return err
		}
	}

	fmt.Fprintln(out, "Recipe: gitlab::default")
	fmt.Fprintln(out, "  * directory[/etc/gitlab] action create (up to date)")
	if _, err := loadSecrets(secretsFile); err != nil {
		return err
	}
	fmt.Fprintln(out, "Recipe: gitlab::gitlab-rails")
	fmt.Fprintln(out, "  * templatesymlink[Create a gitlab.yml and create a symlink to Rails root] action create")
	fmt.Fprintln(out, "Recipe: gitlab::database_migrations")
	stored, err := os.ReadFile(versionFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read version of the data: %w", err)
	}
	// The release is noted before the migrations, not after. The recipe
	// gitlab-rails of omnibus-gitlab comes before database_migrations.
	if err := noteVersion(); err != nil {
		return err
	}
	if strings.TrimSpace(string(stored)) == gitlab() {
		fmt.Fprintln(out, "  * rails_migration[gitlab-rails] action run (skipped due to only_if)")
	} else {
		fmt.Fprintln(out, "  * rails_migration[gitlab-rails] action run")
		fmt.Fprintln(out, "    * bash[migrate gitlab-rails database] action run")
		fmt.Fprintln(out, "      - execute \"bash\"")
	}
	if err := ask(ctx, "POST", "/settings", a, nil); err != nil {
		return err
	}
	if s.registryOn() {
		fmt.Fprintln(out, "Recipe: registry::enable")
		fmt.Fprintln(out, "  * template[/var/opt/gitlab/registry/config.yml] action create")
	}
	if err := keepMarks(version, generated, s); err != nil {
		return err
	}
	fmt.Fprintln(out, "Running handlers:")
	if generated != "" {
		fmt.Fprint(out, passwordNote)
	}
	fmt.Fprintln(out, "Running handlers complete")
	fmt.Fprintf(out, "Infra Phase complete, %d/%d resources updated in %02d seconds\n", len(s), 500, int(time.Since(began).Seconds()))
	fmt.Fprintln(out, "gitlab Reconfigured!")
	return nil
}

const passwordNote = `
Notes:
Default admin account has been configured with following details:
Username: root
Password: You didn't opt-in to print initial root password to STDOUT.
Password stored to /etc/gitlab/initial_root_password. This file will be cleaned up in first reconfigure run after 24 hours.

NOTE: Because these credentials might be present in your log files in plain text, it is highly recommended to reset the password following https://docs.gitlab.com/ee/security/reset_user_password.html#reset-your-root-password.

`

// evaluate has Ruby read the settings. What gitlab.rb prints goes to out.
func evaluate(ctx context.Context, out io.Writer) (settings, error) {
	dir, err := os.MkdirTemp("", "settings-")
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "settings.json")
	cmd := exec.CommandContext(ctx, "/opt/gitlab/embedded/bin/ruby", evaluator, file)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = out, &said
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(said.String()); text != "" {
			return nil, errors.New(text)
		}
		return nil, fmt.Errorf("evaluate settings: %w", err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	return parseSettings(b)
}

// minPassword is the shortest password that root may have.
const minPassword = 8

// firstSeed is what a new database begins with; generated is root's password
// when nobody chose one. heptapod-docker 1.3.
func firstSeed(s settings) (first seed, generated string, err error) {
	first = seed{
		RootPassword:      os.Getenv("GITLAB_ROOT_PASSWORD"),
		RootEmail:         os.Getenv("GITLAB_ROOT_EMAIL"),
		RegistrationToken: os.Getenv("GITLAB_SHARED_RUNNERS_REGISTRATION_TOKEN"),
	}
	if first.RootPassword == "" {
		first.RootPassword = s.text("gitlab_rails", "initial_root_password")
	}
	if first.RegistrationToken == "" {
		first.RegistrationToken = s.text("gitlab_rails", "initial_shared_runners_registration_token")
	}
	if first.RootPassword == "" {
		b := make([]byte, 32)
		if _, err := rand.Read(b); err != nil {
			return seed{}, "", fmt.Errorf("make root password: %w", err)
		}
		generated = base64.StdEncoding.EncodeToString(b)
		first.RootPassword = generated
	}
	if len(first.RootPassword) < minPassword {
		return seed{}, "", fmt.Errorf("RuntimeError: initial root password is too short (minimum is %d characters)", minPassword)
	}
	return first, generated, nil
}

// passwordLife is how long the file with root's first password stays.
const passwordLife = 24 * time.Hour

// noteVersion writes which release works on the data.
func noteVersion() error {
	err := os.MkdirAll(filepath.Dir(versionFile), 0o755)
	if err == nil {
		err = renameio.WriteFile(versionFile, []byte(gitlab()+"\n"), 0o644)
	}
	if err != nil {
		return fmt.Errorf("keep version of the data: %w", err)
	}
	return nil
}

// keepMarks writes what later boots and other programs look for.
func keepMarks(version release, generated string, s settings) error {
	if generated != "" && s.truth(true, "gitlab_rails", "store_initial_root_password") {
		text := "# WARNING: This value is valid only in the following conditions\n" +
			"#          1. If provided manually (either via `GITLAB_ROOT_PASSWORD` environment variable or via `gitlab_rails['initial_root_password']` setting in `gitlab.rb`, it was provided before database was seeded for the first time (usually, the first reconfigure run).\n" +
			"#          2. Password hasn't been changed manually, either via UI or via command line.\n\n" +
			"Password: " + generated + "\n\n" +
			"# NOTE: This file will be automatically deleted in the first reconfigure run after 24 hours.\n"
		if err := renameio.WriteFile(passwordFile, []byte(text), 0o600); err != nil {
			return fmt.Errorf("keep root password: %w", err)
		}
	} else if i, err := os.Stat(passwordFile); err == nil && time.Since(i.ModTime()) > passwordLife {
		if err := os.Remove(passwordFile); err != nil {
			return fmt.Errorf("remove root password: %w", err)
		}
	}
	for _, f := range []struct{ path, text string }{
		{pgVersion, version.postgres() + "\n"},
		{bootstrapped, ""},
	} {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
		if err := renameio.WriteFile(f.path, []byte(f.text), 0o644); err != nil {
			return fmt.Errorf("keep version of the data: %w", err)
		}
	}
	return nil
}

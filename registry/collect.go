package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/heptaup/hepta/internal/fault"
)

// Where the forge's image keeps the registry.
const (
	configFile = "/var/opt/gitlab/registry/config.yml"
	program    = "/opt/gitlab/embedded/bin/registry"
	lockFiles  = "/docker/registry/lockfiles/"
)

// Metadata is where a registry keeps what its images consist of.
type Metadata string

// The kinds of Metadata.
const (
	// Filesystem is beside the blobs: garbage is collected while the registry stands still.
	Filesystem Metadata = "filesystem"
	// Database is a PostgreSQL database: the registry collects garbage by itself while it runs.
	Database Metadata = "database"
)

// RunFunc runs a command in the forge's container and writes what it prints to
// out. A command that ran and failed gives an exit code and no error.
type RunFunc func(ctx context.Context, out io.Writer, cmd ...string) (exitCode int, err error)

// FindMetadata asks the registry's configuration, and where that leaves it
// open the marks in its storage, which kind of metadata is in use.
func FindMetadata(ctx context.Context, run RunFunc) (Metadata, error) {
	fail := func(why, remedy string, err error) (Metadata, error) {
		return "", &fault.Error{Op: "find", What: "metadata of the registry", Why: why, Remedy: remedy, Err: err}
	}
	var text bytes.Buffer
	code, err := run(ctx, &text, "cat", configFile)
	if err != nil {
		return fail("", "", err)
	}
	if code != 0 {
		return fail("there is no "+configFile+" in the forge's container",
			"Switch the registry on: `registry` in hepta.yaml, then `hepta up`.", nil)
	}
	config, err := parseRegistryConfig(text.Bytes())
	if err != nil {
		return fail(configFile+" cannot be read", "Have it written anew: `hepta ctl reconfigure`", err)
	}
	switch config.Database.Enabled {
	case "", "false":
		return Filesystem, nil
	case "true":
		return Database, nil
	}
	// prefer: the database on a new registry, the file system where there are files.
	root := config.Storage.Filesystem.Root
	if root == "" {
		return fail("it prefers a database and keeps its blobs in an object storage, where no mark can be looked at",
			"Say registry['database'] = { 'enabled' => true } or false under heptapod.gitlab_rb, as it is.", nil)
	}
	for _, look := range []struct {
		mark  string
		means Metadata
	}{
		{lockFiles + "database-in-use", Database},
		{lockFiles + "filesystem-in-use", Filesystem},
		{"/docker/registry/v2/repositories", Filesystem},
	} {
		code, err := run(ctx, io.Discard, "test", "-e", strings.TrimRight(root, "/")+look.mark)
		if err != nil {
			return fail("", "", err)
		}
		if code == 0 {
			return look.means, nil
		}
	}
	return Database, nil
}

// registryConfig is what counts here of the registry's own configuration.
type registryConfig struct {
	Storage struct {
		Filesystem struct {
			Root string `yaml:"rootdirectory"`
		} `yaml:"filesystem"`
	} `yaml:"storage"`
	Database struct {
		Enabled string `yaml:"enabled"` // true, false or prefer
	} `yaml:"database"`
}

// parseRegistryConfig reads the file as the image writes it, with JSON in
// places. Its error quotes nothing of the file, which holds secrets.
func parseRegistryConfig(text []byte) (*registryConfig, error) {
	var config registryConfig
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, errors.New("it is not what the image writes")
	}
	return &config, nil
}

// CollectOptions is for Collect.
type CollectOptions struct {
	// Untagged removes manifests without a tag as well. What is pulled by its
	// digest alone is lost then.
	Untagged bool
	// DryRun only tells what would be removed and changes nothing: the registry
	// goes on. What is being pushed meanwhile may be listed as well.
	DryRun bool
}

// Collect removes what no image needs from a registry with metadata in the
// file system. The registry is stopped meanwhile: pulls and pushes fail. What
// is printed goes to out as it comes. A registry with a database does this by
// itself, which is ErrOnline here.
func Collect(ctx context.Context, run RunFunc, out io.Writer, o CollectOptions) error {
	metadata, err := FindMetadata(ctx, run)
	if err != nil {
		return err
	}
	if metadata == Database {
		return fmt.Errorf("collect garbage of the registry: %w", ErrOnline)
	}
	args := []string{"gitlab-ctl", "registry-garbage-collect"}
	if o.DryRun {
		// gitlab-ctl has a dry run too, for which it stops the registry.
		args = []string{program, "garbage-collect", configFile, "-d"}
	}
	if o.Untagged {
		args = append(args, "-m")
	}
	code, err := run(ctx, out, args...)
	if (err != nil || code != 0) && o.DryRun {
		f := &fault.Error{Op: "list garbage of", What: "the registry", Err: err, Remedy: "Nothing was changed. What it printed says why: `hepta logs heptapod` has more."}
		if err == nil {
			f.Why = fmt.Sprintf("%s ended with exit code %d", program, code)
		}
		return f
	}
	if err != nil {
		return &fault.Error{Op: "collect garbage of", What: "the registry", Err: err,
			Remedy: "It may be stopped still: `hepta ctl status registry` tells, `hepta ctl start registry` starts it."}
	}
	if code != 0 {
		return &fault.Error{Op: "collect garbage of", What: "the registry", Why: fmt.Sprintf("gitlab-ctl ended with exit code %d", code),
			Remedy: "What it printed says why. The registry may be stopped still: `hepta ctl status registry` tells, `hepta ctl start registry` starts it."}
	}
	return nil
}

// ErrOnline says that a registry collects its garbage by itself.
var ErrOnline = errors.New("it collects its garbage by itself")

package hepta

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/secret"
	"github.com/heptaup/hepta/internal/yamlconfig"
)

type (
	// ConfigError is everything that is wrong with a configuration, one line each
	// with the place in the file.
	ConfigError = yamlconfig.Error
	// ConfigProblem is one of a ConfigError.
	ConfigProblem = yamlconfig.Problem
	// ConfigPosition is a place in the file of a configuration.
	ConfigPosition = yamlconfig.Position
)

// DefaultFile is the name under which a configuration is looked for.
const DefaultFile = "hepta.yaml"

// Load reads a configuration and the files that it names. Everything that is
// wrong with it is one *ConfigError.
func Load(path string) (*Config, error) {
	data, mode, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	cfg, at, problems := parse(data)
	missing, warnings := yamlconfig.ReadFiles(filepath.Dir(path), cfg)
	for _, p := range missing {
		if !yamlconfig.Covered(p.Path, problems) {
			problems = append(problems, p)
		}
	}
	problems = cfg.more(problems, at, len(missing) == 0)
	if err := yamlconfig.NewError(path, at, problems); err != nil {
		return nil, err
	}
	if inside := yamlconfig.Inside(cfg); len(inside) > 0 {
		if text := secret.Exposed(path, mode); text != "" {
			warnings = append(warnings, yamlconfig.Problem{Path: inside[0], Text: text})
		}
	}
	for _, w := range warnings {
		w.Position = at[w.Path]
		cfg.Warnings = append(cfg.Warnings, (&yamlconfig.Error{Name: path, Problems: []yamlconfig.Problem{w}}).Error())
	}
	return cfg, nil
}

func readConfig(path string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, &fault.Error{Op: "read", What: path, Err: fs.ErrNotExist,
			Remedy: "Write one with 'hepta init', or name another with --file."}
	}
	var data []byte
	var mode fs.FileMode
	if err == nil {
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			mode = info.Mode()
		}
		data, err = io.ReadAll(io.LimitReader(f, yamlconfig.MaxBytes+1))
	}
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return nil, 0, &fault.Error{Op: "read", What: path, Err: failed.Err, Remedy: "Name a file that can be read with --file."}
	}
	return data, mode, err
}

// Parse reads a configuration without opening any file: what keys such as
// password_file name stays unread, and what can be told only with it is left
// to Validate and New. The name is for the errors.
func Parse(name string, data []byte) (*Config, error) {
	cfg, at, problems := parse(data)
	problems = cfg.more(problems, at, false)
	if err := yamlconfig.NewError(name, at, problems); err != nil {
		return nil, err
	}
	return cfg, nil
}

// parse decodes and checks one value at a time.
func parse(data []byte) (*Config, yamlconfig.Positions, []yamlconfig.Problem) {
	cfg := new(Config)
	at, problems := yamlconfig.Decode(data, cfg)
	for _, p := range yamlconfig.Check(cfg, at) {
		if !yamlconfig.Covered(p.Path, problems) {
			problems = append(problems, p)
		}
	}
	return cfg, at, problems
}

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/runner"
)

// buildSecrets reads what --secret names, each in the words of docker build.
// No error shows a value: a secret may have been written there itself.
func buildSecrets(t terminal, list []string) ([]runner.BuildSecret, error) {
	var secrets []runner.BuildSecret
	for i, text := range list {
		from, err := parseSecretOption(text)
		if err != nil {
			return nil, usage{fmt.Errorf("--secret (number %d): %w", i+1, err)}
		}
		value, err := from.read(t)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, runner.BuildSecret{ID: from.id, Value: runner.NewSecret(value)})
	}
	return secrets, nil
}

// secretOption says where a secret for a build lies: in a file, or in a
// variable of the environment.
type secretOption struct{ id, file, env string }

func parseSecretOption(text string) (o secretOption, err error) {
	kind := ""
	for field := range strings.SplitSeq(text, ",") {
		key, value, is := strings.Cut(field, "=")
		to := map[string]*string{"id": &o.id, "src": &o.file, "source": &o.file, "env": &o.env, "type": &kind}[key]
		switch {
		case !is || to == nil:
			return o, errors.New("it takes id=ID[,src=FILE|,env=NAME]")
		case value == "":
			return o, fmt.Errorf("%s is empty", key)
		case *to != "":
			return o, fmt.Errorf("%s is there twice", key)
		}
		*to = value
	}
	switch {
	case o.id == "":
		return o, errors.New("the id is missing: id=ID[,src=FILE|,env=NAME]")
	case o.file != "" && o.env != "":
		return o, errors.New("src and env exclude each other")
	case kind != "" && kind != "file" && kind != "env", kind == "file" && o.env != "":
		return o, errors.New("the type does not fit: it is file with src, env with env, and can be left out")
	case kind == "env" && o.file != "": // as docker build reads it
		o.file, o.env = "", o.file
	}
	if o.file != "" || o.env != "" {
		return o, nil
	}
	// What has nothing but an id is a variable of that name, else a file.
	if _, set := os.LookupEnv(o.id); set && kind != "file" || kind == "env" {
		o.env = o.id
	} else {
		o.file = o.id
	}
	return o, nil
}

func (o secretOption) read(t terminal) (string, error) {
	if o.env != "" {
		value, set := os.LookupEnv(o.env)
		if !set {
			return "", usage{fmt.Errorf("--secret id=%s: the environment has no variable %s", o.id, o.env)}
		}
		return value, nil
	}
	text, err := readPrivate(t, o.file, runner.MaxBuildSecret)
	if err != nil {
		return "", &fault.Error{Op: "read secret", What: o.id, Err: err, Remedy: "Name a file of this machine: --secret id=" + o.id + ",src=FILE. Relative paths are from here, not from the context."}
	}
	return string(text), nil
}

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/fault"
)

// The form in which the image writes it.
func imageConfig(database string) string {
	return `version: 0.1
log:
  level: info
storage: {"filesystem":{"rootdirectory":"/blobs/"},"cache":{"blobdescriptor":"inmemory"},"delete":{"enabled":true}}
http:
  addr: 127.0.0.1:5000
  secret: "` + canary + `"
` + database
}

// box is the forge's container as Collect sees it.
type box struct {
	config string
	files  []string
	code   int // of gitlab-ctl
	lost   error
	ran    []string
}

func (b *box) run(_ context.Context, out io.Writer, cmd ...string) (int, error) {
	switch cmd[0] {
	case "cat":
		if b.config == "" {
			return 1, nil
		}
		_, err := io.WriteString(out, b.config)
		return 0, err
	case "test":
		if slices.Contains(b.files, cmd[2]) {
			return 0, nil
		}
		return 1, nil
	}
	b.ran = append(b.ran, strings.Join(cmd, " "))
	fmt.Fprintln(out, "3 blobs marked")
	return b.code, b.lost
}

func TestFindMetadata(t *testing.T) {
	const prefer = "database: {enabled: prefer}"
	for _, c := range []struct {
		name, config string
		files        []string
		want         Metadata
		err          string
	}{
		{"before there was a database", imageConfig(""), nil, Filesystem, ""},
		{"off", imageConfig("database: {enabled: false}"), []string{"/blobs/docker/registry/lockfiles/database-in-use"}, Filesystem, ""},
		{"off in words", imageConfig("database:\n  enabled: \"false\""), nil, Filesystem, ""},
		{"on", imageConfig("database: {enabled: true, host: x}"), nil, Database, ""},
		{"prefer on a new one", imageConfig(prefer), nil, Database, ""},
		{"prefer, in use", imageConfig(prefer), []string{"/blobs/docker/registry/lockfiles/database-in-use", "/blobs/docker/registry/v2/repositories"}, Database, ""},
		{"prefer, not in use", imageConfig(prefer), []string{"/blobs/docker/registry/lockfiles/filesystem-in-use"}, Filesystem, ""},
		{"prefer on an old one", imageConfig(prefer), []string{"/blobs/docker/registry/v2/repositories"}, Filesystem, ""},
		{"prefer in an object storage", "storage: {s3: {bucket: b, secretkey: " + canary + "}}\n" + prefer, nil, "", "object storage"},
		{"no registry", "", nil, "", "no " + configFile},
		{"garbled", "storage: [" + canary, nil, "", "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := FindMetadata(t.Context(), (&box{config: c.config, files: c.files}).run)
			if got != c.want || (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), canary)) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestCollect(t *testing.T) {
	var out bytes.Buffer
	b := &box{config: imageConfig("")}
	if err := Collect(t.Context(), b.run, &out, CollectOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := Collect(t.Context(), b.run, &out, CollectOptions{Untagged: true, DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if err := Collect(t.Context(), b.run, &out, CollectOptions{Untagged: true}); err != nil {
		t.Fatal(err)
	}
	// gitlab-ctl stops the registry for a dry run as well.
	want := []string{"gitlab-ctl registry-garbage-collect", "/opt/gitlab/embedded/bin/registry garbage-collect /var/opt/gitlab/registry/config.yml -d -m", "gitlab-ctl registry-garbage-collect -m"}
	if !slices.Equal(b.ran, want) {
		t.Errorf("ran %q", b.ran)
	}
	if out.String() != "3 blobs marked\n3 blobs marked\n3 blobs marked\n" {
		t.Errorf("printed %q", &out)
	}

	b = &box{config: imageConfig("database: {enabled: true}")}
	if err := Collect(t.Context(), b.run, &out, CollectOptions{}); !errors.Is(err, ErrOnline) || len(b.ran) > 0 {
		t.Errorf("with a database: %v, ran %q", err, b.ran)
	}
	b = &box{config: imageConfig(""), code: 2}
	if err := Collect(t.Context(), b.run, &out, CollectOptions{}); err == nil || !strings.Contains(err.Error(), "exit code 2") {
		t.Errorf("failed: %v", err)
	}
	if err := Collect(t.Context(), b.run, &out, CollectOptions{DryRun: true}); err == nil || !strings.Contains(err.Error(), "exit code 2") || strings.Contains(fault.Describe(err), "start registry") {
		t.Errorf("dry run failed: %v", err)
	}
	b = &box{config: imageConfig(""), lost: io.ErrUnexpectedEOF}
	if err := Collect(t.Context(), b.run, &out, CollectOptions{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("lost: %v", err)
	}
}

// FuzzParseRegistryConfig: whatever stands there, it ends, and an error quotes
// nothing of it.
func FuzzParseRegistryConfig(f *testing.F) {
	f.Add(imageConfig("database: {enabled: prefer}"))
	f.Add("storage: [" + canary)
	f.Add("database: {enabled: [1]}")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		config, err := parseRegistryConfig([]byte(text))
		if (config == nil) != (err != nil) || err != nil && err.Error() != "it is not what the image writes" {
			t.Errorf("got %v, %v", config, err)
		}
	})
}

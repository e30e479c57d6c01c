package heptapod

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
)

func TestTokenLifeIsDue(t *testing.T) {
	with := func(minutes int) *Forge {
		return forge(t, Config{Registry: &Registry{ExternalURL: "https://registry.example.org", TokenMinutes: minutes}})
	}
	for _, c := range []struct {
		name    string
		minutes int
		file    *string
		cause   string
	}{
		{"nothing is wanted", 0, nil, ""},
		{"no container shows the file", 30, nil, converge.CauseUnseen},
		{"never set", 30, new(string), "30 minutes are wanted"},
		{"as it was set", 30, ptr("30\n"), ""},
		{"another one was set", 45, ptr("30\n"), "minutes changed 30 → 45"},
	} {
		o := &converge.Observed{Files: map[string]converge.ObservedFile{}}
		if c.file != nil {
			o.Files[fileTokenMinutes] = converge.ObservedFile{Exists: *c.file != "", Content: []byte(*c.file)}
		}
		tasks, err := with(c.minutes).decideTokenLife(o)
		if err != nil {
			t.Fatal(err)
		}
		cause := ""
		if len(tasks) == 1 {
			cause = tasks[0].Cause
			if !slices.Contains(tasks[0].After, RefToken) {
				t.Errorf("%s: it does not wait for the API token", c.name)
			}
			if !slices.Contains(tasks[0].After, "file:"+fileTokenMinutes) {
				t.Errorf("%s: it writes the file while that is made", c.name)
			}
		}
		if cause != c.cause {
			t.Errorf("%s: %q, want %q", c.name, cause, c.cause)
		}
	}
	holds := func(f *Forge) bool {
		return slices.ContainsFunc(resources(t, f).Files, func(file converge.File) bool { return file.Path == fileTokenMinutes })
	}
	if !holds(with(30)) || holds(with(0)) {
		t.Error("the file is there when it is not wanted, or is not when it is")
	}
}

func ptr(s string) *string { return &s }

func TestSetTokenLife(t *testing.T) {
	f := forge(t, Config{Registry: &Registry{ExternalURL: "https://registry.example.org", TokenMinutes: 30}})
	answer, asked := "200 OK", 0
	host := &fakeHost{
		files: map[string]string{FileToken: string(Token{NewSecret("glpat-x"), f.now().AddDate(0, 0, 30)}.content())},
		exec: func(_ context.Context, _ []string, stdin []byte) (converge.ExecResult, error) {
			asked++
			text := string(stdin)
			if !strings.Contains(text, "/api/v4/application/settings") || !strings.Contains(text, `"container_registry_token_expire_delay":30`) {
				t.Errorf("sent %s", strings.ReplaceAll(text, "glpat-x", "…"))
			}
			return converge.ExecResult{Stdout: []byte("HTTP/1.1 " + answer + "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")}, nil
		},
	}
	answer = "400 Bad Request"
	if err := f.setTokenLife(t.Context(), host); err == nil || host.files[fileTokenMinutes] != "" {
		t.Fatalf("refused: %v, kept %q", err, host.files[fileTokenMinutes])
	}
	answer = "200 OK"
	for range 2 {
		if err := f.setTokenLife(t.Context(), host); err != nil {
			t.Fatal(err)
		}
	}
	if host.files[fileTokenMinutes] != "30\n" || asked != 2 {
		t.Errorf("kept %q after %d requests", host.files[fileTokenMinutes], asked)
	}
}

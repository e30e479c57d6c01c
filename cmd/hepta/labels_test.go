package main

import (
	"bytes"
	"testing"
)

// What is printed can be pasted: behind docker run in a shell, and into a
// compose file, which reads $ for itself.
func TestLabelsCanBePasted(t *testing.T) {
	labels := map[string]string{"b": "Host(`a.test`)", "a": "it's $1"}
	var docker, compose bytes.Buffer
	if err := dockerLabels(&docker, labels); err != nil {
		t.Fatal(err)
	}
	if err := composeLabels(&compose, labels); err != nil {
		t.Fatal(err)
	}
	if got, want := docker.String(), "--label 'a=it'\\''s $1' \\\n--label 'b=Host(`a.test`)' \\\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := compose.String(), "labels:\n  a: 'it''s $$1'\n  b: 'Host(`a.test`)'\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

package main

import (
	"os"
	"testing"
)

// TestTheTableIsThatOfTheRunner: what the published versions of the runner
// declare is what keys.txt says.
func TestTheTableIsThatOfTheRunner(t *testing.T) {
	want, err := Table()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("keys.txt is stale: run go generate ./runner/configkeys")
	}
}

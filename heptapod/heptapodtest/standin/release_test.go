package main

import (
	"strings"
	"testing"
)

func TestUpgradeRefusal(t *testing.T) {
	tests := []struct {
		from, to, min string
		needs         string // "": let through
	}{
		{"17.8.1", "17.8.1", "", ""},
		{"17.8.1", "17.8.7", "", ""},
		{"17.5.5", "17.8.1", "", ""},
		{"17.3.7", "17.8.1", "", "17.5.x"},
		{"17.8.1", "17.11.2", "", ""},
		{"17.7.0", "17.9.0", "", "17.8.x"},
		{"17.8.1", "18.0.0", "", "17.11.x"},
		{"17.11.7", "18.2.8", "", ""},
		{"17.11.7", "18.3.0", "", "18.2.x"},
		{"18.11.11", "19.2.4", "", ""},
		{"18.11.11", "19.3.0", "", "19.2.x"},
		{"16.11.10", "17.3.7", "", ""},
		{"15.4.6", "17.8.1", "", "17.5.x"},
		{"13.12.15", "14.0.12", "", ""},
		{"13.11.0", "14.0.12", "", "13.12.x"},
		{"17.8.1\n", "17.8.1", "", ""},
		{"17.3.7", "17.8.1", "17.3", ""},
		{"17.8.1", "17.9.0", "17.9", "17.9.x"},
	}
	for _, tt := range tests {
		got, err := upgradeRefusal(tt.from, tt.to, tt.min)
		if err != nil {
			t.Errorf("%s to %s: %v", tt.from, tt.to, err)
			continue
		}
		if (got == "") != (tt.needs == "") || !strings.Contains(got, tt.needs) {
			t.Errorf("%s to %s: got %q, want it to name %q", tt.from, tt.to, got, tt.needs)
		}
	}
	if _, err := upgradeRefusal("nonsense", "17.8.1", ""); err == nil {
		t.Error("a version that is none was let through")
	}
}

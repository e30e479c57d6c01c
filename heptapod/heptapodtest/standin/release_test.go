package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/heptaup/hepta/heptapod"
	"github.com/heptaup/hepta/heptapod/heptapodtest/standin/rootfs"
)

// everyRelease are GitLab's from 12.0 to 19.11.
func everyRelease() []release {
	var list []release
	for major, last := range []int{12: 10, 13: 12, 14: 10, 15: 11, 16: 11, 17: 11, 18: 11, 19: 11} {
		for minor := 0; major >= 12 && minor <= last; minor++ {
			list = append(list, release{major, minor})
		}
	}
	return list
}

// The stops are those of the real image, row by row.
func TestStopsFollowTheFacts(t *testing.T) {
	f, err := os.Open("../../testdata/upgrade-stops.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		rows++
		var first, last, need release
		if _, err := fmt.Sscanf(lines.Text(), "%d.%d %d.%d %d.%d", &first.major, &first.minor, &last.major, &last.minor, &need.major, &need.minor); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		for _, to := range everyRelease() {
			if to.before(first) || last.before(to) {
				continue
			}
			for _, from := range everyRelease() {
				text, err := upgradeRefusal(from.String()+".1", to.String()+".1", "")
				if refused := from.before(need); err != nil || (text != "") != refused || refused && !strings.Contains(text, "latest "+need.String()+".x version") {
					t.Errorf("%s to %s: %q, %v; want it to ask for %s: %v", from, to, text, err, need, refused)
				}
			}
		}
	}
	if rows < 20 {
		t.Errorf("the facts have %d rows", rows)
	}
}

// What the image refuses, the product has to have refused before; what it has
// refused beyond that is a way back, or past a stop that only GitLab's documents
// ask for.
func TestProductRefusesWhatTheImageRefuses(t *testing.T) {
	documented := []string{"14.3.6", "14.9.5", "15.4.6"}
	for _, from := range everyRelease() {
		for _, to := range everyRelease() {
			image, err := upgradeRefusal(from.String()+".90", to.String()+".91", "")
			if err != nil {
				t.Fatal(err)
			}
			data, err := heptapod.ParseDataVersion(from.String() + ".90")
			if err != nil {
				t.Fatal(err)
			}
			target, err := heptapod.ParseVersion("gitlab/gitlab-ce:" + to.String() + ".91-ce.0")
			if err != nil {
				t.Fatal(err)
			}
			product := heptapod.CheckUpgrade(data, target)
			path, _ := heptapod.UpgradePath(data, target)
			onlyDocumented := !slices.ContainsFunc(path[:max(0, len(path)-1)], func(v heptapod.Version) bool { return !slices.Contains(documented, v.String()) })
			if image != "" && product == nil || image == "" && product != nil && !to.before(from) && !onlyDocumented {
				t.Errorf("%s to %s: the image says %q, the product %v", from, to, image, product)
			}
		}
	}
}

// Which GitLab is in a Heptapod both say alike.
func TestGitLabOfHeptapod(t *testing.T) {
	for _, number := range []string{"0.12.4", "0.14.3", "0.15.1", "0.19.3", "0.23.3", "0.24.2", "0.27.4", "0.31.2", "0.32.2", "0.33.1", "0.35.1", "0.38.1", "0.40.0",
		"0.41.1", "1.0.0", "1.1.3", "1.5.0", "17.0.0", "17.8.1", "18.2.0"} {
		v, err := heptapod.ParseVersion("octobus/heptapod:" + number)
		if err != nil {
			t.Fatal(err)
		}
		inside, err := parseRelease(rootfs.GitLab(number))
		if g := v.GitLab(); err != nil || inside != (release{g.Major, g.Minor}) {
			t.Errorf("%s: %s here, %s for the product (%v)", number, inside, g, err)
		}
	}
}

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

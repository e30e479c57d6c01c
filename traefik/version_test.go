package traefik

import (
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	for image, want := range map[string]version{
		"traefik:v3.6.12":                    {3, 6, 12},
		"traefik:3.6":                        {3, 6, newest},
		"traefik:v3":                         {3, newest, newest},
		"traefik":                            unknown,
		"traefik:latest":                     unknown,
		"traefik:ramequin":                   unknown,
		"traefik:v2.11.31-windowsservercore": {2, 11, 31},
		"traefik:v3.7.0-rc.1":                {3, 7, 0},
		"registry.example.org:5000/a/traefik:v2.11":         {2, 11, newest},
		"registry.example.org:5000/traefik":                 unknown,
		"traefik:v3.6.12@sha256:" + strings.Repeat("0", 64): {3, 6, 12},
		"traefik:3.6.12.1":                                  unknown,
	} {
		if got := parseVersion(image); got != want {
			t.Errorf("%s: got %v, want %v", image, got, want)
		}
	}
}

func TestCheckVersion(t *testing.T) {
	const engine29, engine26 = "1.44", "1.24"
	for _, c := range []struct {
		image, api, why string // no why: it passes
	}{
		{DefaultImage, engine29, ""},
		{"traefik", engine29, ""},
		{"traefik:v3", engine29, ""},
		{"traefik:v3.6", engine29, ""},
		{"traefik:v3.7.9", engine29, ""},
		{"traefik:v2.11", engine29, ""},
		{"traefik:v2.11.31", engine29, ""},
		{"traefik:v2.11.35", engine29, ""},
		{"traefik:v3.6.1", engine29, ""},
		{"traefik:v3.6.3", engine29, ""},
		{"traefik:v3.6.7", engine29, ""},
		{"traefik:v3.6.0", engine26, ""},
		{"traefik:v3.6.0", "1.12", ""},
		{"traefik:v3.6.0", "", ""},
		{"traefik:v3.6.0", "nonsense", ""},
		{"traefik:v3.0", engine26, ""},
		{"traefik:v3.6.0", engine29, "speaks only API 1.24, and this Docker Engine wants 1.44"},
		{"traefik:v3.5", engine29, "speaks only API 1.24"},
		{"traefik:v2.11.30", engine29, "speaks only API 1.24"},
		{"traefik:v2.11.30", "1.100", "wants 1.100"},
		{"traefik:v3.6.4", engine26, "%2F"},
		{"traefik:v3.6.6", "", "%2F"},
		{"traefik:v2.11.32", "", "%2F"},
		{"traefik:v2.11.34", engine29, "%2F"},
		{"traefik:v2.10", "", "before 2.11"},
		{"traefik:v2.2", engine26, "before 2.11"},
		{"traefik:1.7", "", "version 1"},
		{"traefik:v4.0.0", "", "version 4"},
	} {
		t.Run(c.image+" on "+c.api, func(t *testing.T) {
			err := CheckVersion(c.image, c.api)
			switch {
			case c.why == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)):
				t.Errorf("got %v, want something with %q", err, c.why)
			}
		})
	}
}

package hepta

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// hostContents are what the files of the Docker host may have become by hand,
// by a full disk or by a bad restore. Each holds the canary.
var hostContents = map[string]string{
	"text": canary + "\n", "NUL": "\x00\x00" + canary, "binary": "\x7fELF\xff\xfe" + canary, "cut JSON": `{"runners": {"dind": {"forge": "` + canary,
	"other JSON": `["` + canary + `"]`, "JSON of another shape": `{"runners": ["` + canary + `"]}`, "a number for a runner": `{"runners": {"dind": 7, "` + canary + `": {}}}`,
	"cut TOML": "concurrent = 1\n[[runners]]\ntoken = \"" + canary, "TOML of another shape": "runners = '" + canary + "'\n",
	"numbers for texts": "[[runners]]\nname = 1\ntoken = 2\n# " + canary + "\n", "a table for a list": "[runners]\nname = '" + canary + "'\n",
	"PEM": "-----BEGIN CERTIFICATE-----\n" + canary + "\n-----END CERTIFICATE-----\n", "long": strings.Repeat(canary+"\n", 100_000),
}

// What lies on the Docker host and cannot be read is told by its name, with
// what to do and without what is in it; or it is created again where it is ours alone.
func TestDamagedFilesOfTheHost(t *testing.T) {
	told := map[string]bool{}
	for name, make := range secretives {
		s, err := New(make(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range s.want.Files {
			for kind, content := range hostContents {
				o := s.lived(t)
				file := o.Files[f.Path]
				file.Content = []byte(content)
				o.Files[f.Path] = file
				at := fmt.Sprintf("%s: %s in %s", name, kind, f.Path)
				h := &held{t: t}
				plan, err := converge.Up(&s.want, o)
				if err == nil {
					h.plan(at, plan)
					continue
				}
				told[f.Path] = true
				text := fault.Describe(err)
				h.in(at, text, fmt.Sprintf("%+v", err))
				if fault.Remedy(err) == "" || !strings.Contains(text, f.Path) || len(text) > 1000 {
					t.Errorf("%s: it does not say which file, or what to do: %.1000s", at, text)
				}
			}
		}
	}
	for _, path := range []string{"runner/config.toml", "runner/hepta.json"} {
		if !told[path] {
			t.Errorf("%s is taken whatever is in it; refused is %v", path, slices.Sorted(maps.Keys(told)))
		}
	}
}

package runner

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/google/go-cmp/cmp"
)

// disk is an Engine with images and a build cache.
type disk struct {
	*attic
	layers int64
	cache  []*build.CacheRecord
	tagged map[string]time.Time // when an image was pulled or built last
	asked  *build.CachePruneOptions
}

func (d *disk) DiskUsage(ctx context.Context, o types.DiskUsageOptions) (types.DiskUsage, error) {
	u, err := d.attic.DiskUsage(ctx, o)
	u.LayersSize = d.layers
	if slices.Contains(o.Types, types.BuildCacheObject) {
		u.BuildCache = d.cache
	}
	return u, err
}

func (d *disk) ImageInspect(_ context.Context, id string, _ ...client.ImageInspectOption) (image.InspectResponse, error) {
	return image.InspectResponse{Metadata: image.Metadata{LastTagTime: d.tagged[id]}}, nil
}

func (d *disk) BuildCachePrune(_ context.Context, o build.CachePruneOptions) (*build.CachePruneReport, error) {
	d.asked = &o
	return &build.CachePruneReport{SpaceReclaimed: 7}, nil
}

// fullDisk has images of every kind, each of 100 bytes, and 200 bytes of build cache.
func fullDisk() *disk {
	day := 24 * time.Hour
	d := &disk{attic: &attic{ended: map[string]time.Time{}, taken: map[string]error{}, brings: map[string]map[string]string{}}, tagged: map[string]time.Time{}}
	add := func(id string, ago time.Duration, labels map[string]string, digest bool, tags ...string) {
		i := image.Summary{ID: id, RepoTags: tags, Labels: labels, Size: 100, Created: noon.Add(-300 * day).Unix()}
		if digest {
			i.RepoDigests = []string{"example.org/" + id + "@sha256:" + strings.Repeat("a", 64)}
		}
		d.images, d.layers, d.tagged[id] = append(d.images, i), d.layers+100, noon.Add(-ago)
	}
	add("built", 5*day, map[string]string{LabelBuiltAs: "app:1"}, false, "app:1")
	add("section", 9*day, nil, true, "docker:28")
	add("pulled", 7*day, nil, true, "python:3.12", "python:3")
	add("nameless", 8*day, nil, false)
	add("fresh", time.Minute, nil, true, "docker:27")
	add("used", 20*day, nil, true, "postgres:17")
	add("stack", 20*day, nil, true, "traefik:v3.6.12")
	add("stack-before", 20*day, nil, true, "traefik:v3.5.0")
	add("theirs", 20*day, nil, false, "shop:1")
	d.box("shop", "shop", "exited", nil, day).ImageID = "used"
	old := noon.Add(-6 * day)
	d.cache = []*build.CacheRecord{{ID: "a", Size: 150, LastUsedAt: &old}, {ID: "b", Size: 50, InUse: true, LastUsedAt: &old}, {ID: "c", Size: 1000, Shared: true, LastUsedAt: &old}}
	return d
}

// Images and build cache keep to a size: what was pulled longest ago goes first,
// and of an Engine that others use too only what a runner or a job has brought.
// Never goes what a container uses, what the stack needs, what was pulled a
// moment ago, and what somebody else built.
func TestPruneToASize(t *testing.T) {
	for name, c := range map[string]struct {
		keep      int64
		dedicated bool
		gone      string
		cacheLeft int64 // -1: not asked
		over      int64
	}{
		"there is room":                      {1100, true, "", -1, 0},
		"shared, a little over":              {1050, false, "image docker:28", -1, 0},
		"shared, far over":                   {200, false, "image app:1 image docker:28", -1, 700},
		"dedicated, a little over":           {1050, true, "", 150, 0},
		"dedicated, more than the cache":     {900, true, "image docker:28", 0, 0},
		"dedicated, far over":                {110, true, "image app:1 image docker:28 image nameless image python:3.12 image python:3", 0, 440},
		"dedicated, the oldest of them only": {800, true, "image docker:28 image nameless", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := fullDisk()
			limit := &DiskLimit{Keep: c.keep, Dedicated: c.dedicated, Pulled: []string{"docker:28", "docker:27", "traefik:v3.6.12"}, Spare: []string{"traefik:v3.6.12"}}
			told, err := Prune(t.Context(), d, PruneOptions{Now: noon, Limit: limit})
			if err != nil || len(d.gone) > 0 || d.asked != nil {
				t.Fatalf("without force: %v, %v", err, d.gone)
			}
			p, err := Prune(t.Context(), d, PruneOptions{Now: noon, Limit: limit, Force: true})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.gone, strings.Join(d.gone, " ")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if p.Over != c.over || told.Over != c.over {
				t.Errorf("over by %d, told %d, want %d", p.Over, told.Over, c.over)
			}
			switch {
			case c.cacheLeft < 0 && d.asked != nil:
				t.Errorf("the build cache was pruned: %+v", d.asked)
			case c.cacheLeft >= 0 && (d.asked == nil || !d.asked.All || d.asked.ReservedSpace != c.cacheLeft || d.asked.KeepStorage != c.cacheLeft || d.asked.Filters.Get("until")[0] != "1h0m0s"):
				t.Errorf("of the build cache it asked for %+v, want to keep %d", d.asked, c.cacheLeft)
			}
		})
	}
}

// What the runners' own sections name is what they pull by themselves.
func TestJobImages(t *testing.T) {
	r := runners(t, Config{Forge: Forge{URL: "https://hg.example.org", Token: NewSecret("glpat-x")}, Runners: []Runner{
		{Name: "a", Mode: Dind, DindImage: "docker:28-dind"}, {Name: "b", Image: "python:3", Docker: map[string]any{"helper_image": "helper:2"}}}})
	if diff := cmp.Diff([]string{"docker:28-dind", DefaultJobImage, "helper:2", "python:3"}, r.JobImages()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

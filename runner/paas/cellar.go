package paas

import (
	"context"
	"maps"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/secret"
)

// The custom attributes of a group that has a bucket for its caches.
const (
	cellarBucket = "cc_cellar_bucket"
	cellarKeyID  = "cc_cellar_key_id"
	cellarSecret = "cc_cellar_key_secret"
)

// Cellar is a bucket of one tenant alone, for the caches of its jobs.
type Cellar struct {
	Bucket           string
	KeyID, KeySecret Secret
}

// Cellar finds the bucket of a tenant by the custom attributes of its group;
// nil when it has none.
func (c *Coordinator) Cellar(ctx context.Context, k Clever, tenant string) (*Cellar, error) {
	attributes, err := c.attributes(ctx, k, tenant)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, key := range []string{cellarBucket, cellarKeyID, cellarSecret} {
		if attributes[key] == "" {
			missing = append(missing, key)
		}
	}
	switch len(missing) {
	case 0:
		return &Cellar{attributes[cellarBucket], secret.New(attributes[cellarKeyID]), secret.New(attributes[cellarSecret])}, nil
	case 3:
		return nil, nil
	}
	return nil, &fault.Error{
		Op: "find cache bucket of group", What: tenant, Why: "it has no custom attribute " + strings.Join(missing, ", "),
		Remedy: "An administrator of the forge sets all three on the top-level group, " + cellarBucket + ", " + cellarKeyID + " and " + cellarSecret + ", or none.",
	}
}

// withCellar is the runner with the bucket of one tenant for its caches, or
// without caches in a bucket where there is none.
func (r Runner) withCellar(cellar *Cellar) Runner {
	section := r.section
	r.section = func() map[string]any {
		changed := maps.Clone(section())
		key, cache := folded(changed, "cache")
		cache = maps.Clone(cache)
		at, s3 := folded(cache, "s3")
		if cellar == nil {
			delete(changed, key)
			return changed
		}
		s3 = maps.Clone(s3)
		if s3 == nil {
			s3 = map[string]any{}
		}
		s3["BucketName"], s3["AccessKey"], s3["SecretKey"] = cellar.Bucket, cellar.KeyID.Reveal(), cellar.KeySecret.Reveal()
		cache[at], changed[key] = s3, cache
		return changed
	}
	return r
}

// folded is a table below a key, whose case the runner does not look at.
func folded(in map[string]any, name string) (key string, table map[string]any) {
	for key, value := range in {
		if table, ok := value.(map[string]any); ok && strings.EqualFold(key, name) {
			return key, table
		}
	}
	return name, nil
}

// readCellar checks what a section with buckets of its tenants has to say about
// them itself.
func readCellar(t table) {
	_, cache := folded(t.values, "cache")
	_, s3 := folded(cache, "s3")
	kind := ""
	for key, value := range cache {
		if text, ok := value.(string); ok && strings.EqualFold(key, "type") {
			kind = text
		}
	}
	if kind != "s3" || s3 == nil {
		t.wrong("cc_cellar_attributes", "needs [runners.cache] with Type = \"s3\", and [runners.cache.s3] with the ServerAddress of Cellar")
	}
	for key := range s3 {
		for _, own := range []string{"BucketName", "AccessKey", "SecretKey"} {
			if strings.EqualFold(key, own) {
				t.wrong("cache.s3."+key, "comes from the custom attributes of the groups with cc_cellar_attributes: leave it out here")
			}
		}
	}
}

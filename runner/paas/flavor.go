package paas

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
)

// FlavorVariable is the job variable that chooses the flavor of the host.
const FlavorVariable = "CI_CLEVER_CLOUD_FLAVOR"

// Flavor is a size of hosts.
type Flavor struct {
	Name   string
	Memory float64 // MiB
	CPUs   float64
}

// Weight is the part of the quota that a host of this flavor takes:
// (memory in GiB) ^ 1.25.
func (f Flavor) Weight() float64 { return math.Pow(f.Memory/1024, 1.25) }

// Flavors is what a provider has.
type Flavors []Flavor

// Pick finds the flavor for a job: what it asks for, or else the default. The
// errors are for the job's author.
func (list Flavors) Pick(asked, otherwise, biggest string) (Flavor, error) {
	name := cmp.Or(asked, otherwise)
	f, ok := list.find(name)
	if !ok {
		return Flavor{}, fmt.Errorf("flavor %q is not available; set %s to one of %s", name, FlavorVariable, list.upTo(biggest))
	}
	if limit, ok := list.find(biggest); ok && f.Weight() > limit.Weight() {
		return Flavor{}, fmt.Errorf("flavor %q is bigger than %s, the biggest that this runner allows; set %s to one of %s",
			name, biggest, FlavorVariable, list.upTo(biggest))
	}
	return f, nil
}

// Heaviest is the biggest that a job can choose. The coordinator cannot be
// asked for small jobs only, so that much must be free before it is asked at all.
func (list Flavors) Heaviest(biggest string) (Flavor, error) {
	if biggest != "" {
		f, ok := list.find(biggest)
		if !ok {
			return Flavor{}, fmt.Errorf("cc_max_flavor %q is not available; there are %s", biggest, list.upTo(""))
		}
		return f, nil
	}
	if len(list) == 0 {
		return Flavor{}, fmt.Errorf("the provider has no flavors")
	}
	return slices.MaxFunc(list, byWeight), nil
}

func (list Flavors) find(name string) (Flavor, bool) {
	i := slices.IndexFunc(list, func(f Flavor) bool { return f.Name == name })
	if i < 0 {
		return Flavor{}, false
	}
	return list[i], true
}

func byWeight(a, b Flavor) int {
	return cmp.Or(cmp.Compare(a.Memory, b.Memory), cmp.Compare(a.Name, b.Name))
}

// upTo names the flavors from small to big.
func (list Flavors) upTo(biggest string) string {
	limit, limited := list.find(biggest)
	var names []string
	for _, f := range slices.SortedFunc(slices.Values(list), byWeight) {
		if !limited || f.Memory <= limit.Memory {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, ", ")
}

// Limit is the quota as a sum of weights. flavors are those of its reference runner.
func (q Quota) Limit(flavors Flavors) (float64, error) {
	f, ok := flavors.find(q.Flavor)
	if !ok {
		return 0, &fault.Error{
			Op: "compute quota", Why: fmt.Sprintf("reference_flavor %q is not available", q.Flavor),
			Remedy: fmt.Sprintf("At line %d of the configuration, choose one of %s.", q.Line, flavors.upTo("")),
		}
	}
	return f.Weight() * float64(q.Jobs), nil
}

// Fits holds that a runner can ever take a job. Otherwise it would wait for
// room that never comes.
func (q Quota) Fits(limit float64, r Runner, flavors Flavors) error {
	if r.Clever == nil {
		return nil
	}
	f, err := flavors.Heaviest(r.Clever.MaxFlavor)
	if err != nil {
		return fmt.Errorf("check quota of runner %s: %w", r.Name, err)
	}
	// Both sides are computed; a last bit must not decide.
	if f.Weight() > limit*(1+1e-9) {
		return &fault.Error{
			Op: "check quota of runner", What: r.Name,
			Why: fmt.Sprintf("a job may choose flavor %s of weight %.2f, and the quota is %.2f: it would never ask for a job", f.Name, f.Weight(), limit),
			Remedy: fmt.Sprintf("Raise reference_jobs_count at line %d, or set cc_max_flavor in the [[runners]] section at line %d.",
				q.Line, r.Line),
		}
	}
	return nil
}

package paas

import (
	"math"
	"strings"
	"testing"
)

func sizes() Flavors {
	return Flavors{{"M", 8192, 4}, {"XS", 1024, 1}, {"XL", 32768, 16}, {"S", 2048, 2}}
}

func TestWeight(t *testing.T) {
	if w := (Flavor{Memory: 8192}).Weight(); math.Abs(w-13.4543) > 0.001 {
		t.Errorf("M weighs %v", w)
	}
}

func TestPick(t *testing.T) {
	for name, c := range map[string]struct{ asked, otherwise, biggest, want string }{
		"default":       {"", "M", "", "M"},
		"asked":         {"XS", "M", "", "XS"},
		"within":        {"M", "M", "M", "M"},
		"unknown":       {"XXL", "M", "", `flavor "XXL" is not available; set CI_CLEVER_CLOUD_FLAVOR to one of XS, S, M, XL`},
		"above":         {"XL", "M", "M", `flavor "XL" is bigger than M, the biggest that this runner allows; set CI_CLEVER_CLOUD_FLAVOR to one of XS, S, M`},
		"default above": {"", "XL", "S", `flavor "XL" is bigger than S, the biggest that this runner allows; set CI_CLEVER_CLOUD_FLAVOR to one of XS, S`},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := sizes().Pick(c.asked, c.otherwise, c.biggest)
			if got := f.Name; err == nil && got != c.want || err != nil && err.Error() != c.want {
				t.Errorf("%q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// A quota smaller than the biggest job would leave the runner silent for ever.
func TestQuota(t *testing.T) {
	q := Quota{Line: 3, Flavor: "M", Jobs: 2}
	limit, err := q.Limit(sizes())
	if err != nil || math.Abs(limit-26.9087) > 0.001 {
		t.Fatalf("limit %v, %v", limit, err)
	}
	r := Runner{Line: 9, Name: "a", Executor: CleverDocker, Clever: &Clever{}}
	if err := q.Fits(limit, r, sizes()); err == nil || !strings.Contains(err.Error(), "never ask for a job") {
		t.Errorf("error %v", err)
	}
	r.Clever.MaxFlavor = "M"
	if err := q.Fits(limit, r, sizes()); err != nil {
		t.Error(err)
	}
	q.Jobs = 1
	if limit, err = q.Limit(sizes()); err != nil || q.Fits(limit, r, sizes()) != nil {
		t.Errorf("one job of the biggest flavor fits: %v", err)
	}
	r.Clever.MaxFlavor = "XXL"
	if err := q.Fits(limit, r, sizes()); err == nil {
		t.Error("an unknown cc_max_flavor passed")
	}
	q.Flavor = "XXL"
	if _, err := q.Limit(sizes()); err == nil {
		t.Error("an unknown reference flavor passed")
	}
}

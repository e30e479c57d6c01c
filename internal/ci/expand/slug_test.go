package expand

import "testing"

func TestSlugs(t *testing.T) {
	for text, want := range map[string]string{
		"feature/größe-ändern": "feature-gr--e--ndern", "Main": "main", "-a-": "a",
		"a123456789012345678901234567890123456789012345678901234567890123456789": "a12345678901234567890123456789012345678901234567890123456789012",
	} {
		if got := Slug(text); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	for name, want := range map[string]string{
		"production": "production", "review/main": "review-main-yi2y9f", "Production": "production-iis43c", "1st": "env-1st-sru2wu",
	} {
		if got := EnvironmentSlug(name); got != want {
			t.Errorf("environment %s is %s, want %s", name, got, want)
		}
	}
	for name, want := range map[string]string{"production": "production", "review/x": "development", "staging": "staging", "qa": "testing", "eu": "other"} {
		if got := EnvironmentTier(name); got != want {
			t.Errorf("the tier of %s is %s, want %s", name, got, want)
		}
	}
}

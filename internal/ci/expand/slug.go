package expand

import (
	"crypto/sha256"
	"math/big"
	"regexp"
	"strings"
)

// Slug is text as it fits into a host name: lower case, every other character
// than a letter or digit a dash, at most 63 characters, no dash at either end.
func Slug(text string) string {
	slug := dashed(text)
	if len(slug) > 63 {
		slug = slug[:63]
	}
	return strings.Trim(slug, "-")
}

// dashed puts a dash for each character that is no small Latin letter or digit.
func dashed(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(text))
}

var dashes = regexp.MustCompile(`-+`)

// EnvironmentSlug is an environment's name as it fits into a host name. It ends
// with a part of the name's hash where the name had to be changed.
func EnvironmentSlug(name string) string {
	slug := dashed(name)
	if slug == "" || slug[0] < 'a' {
		slug = "env-" + slug
	}
	slug = dashes.ReplaceAllString(slug, "-")
	if slug == name && len(slug) <= 24 {
		return slug
	}
	if len(slug) > 17 {
		slug = slug[:17]
	}
	if !strings.HasSuffix(slug, "-") {
		slug += "-"
	}
	sum := sha256.Sum256([]byte(name))
	hash := new(big.Int).SetBytes(sum[:]).Text(36)
	return slug + hash[len(hash)-6:]
}

var tiers = []struct {
	name *regexp.Regexp
	tier string
}{
	{regexp.MustCompile(`(?i)(dev|review|trunk)`), "development"},
	{regexp.MustCompile(`(?i)(test|tst|int|ac(ce|)pt|qa|qc|control|quality)`), "testing"},
	{regexp.MustCompile(`(?i)(st(a|)g|mod(e|)l|pre|demo|non)`), "staging"},
	{regexp.MustCompile(`(?i)(pr(o|)d|live)`), "production"},
}

// EnvironmentTier is the tier that a name suggests.
func EnvironmentTier(name string) string {
	for _, t := range tiers {
		if t.name.MatchString(name) {
			return t.tier
		}
	}
	return "other"
}

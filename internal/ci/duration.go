package ci

import (
	"regexp"
	"strconv"
	"strings"
)

var durationPart = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)?$`)

var durationUnits = map[string]float64{
	"": 1, "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
	"m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
	"h": 3600, "hr": 3600, "hrs": 3600, "hour": 3600, "hours": 3600,
	"d": 86400, "day": 86400, "days": 86400,
	"w": 604800, "wk": 604800, "week": 604800, "weeks": 604800,
	"mo": 2592000, "mon": 2592000, "mos": 2592000, "month": 2592000, "months": 2592000,
	"y": 31557600, "yr": 31557600, "yrs": 31557600, "year": 31557600, "years": 31557600,
}

var durationToken = regexp.MustCompile(`[0-9]+(?:\.[0-9]+)?\s*[a-z]*`)

// seconds reads a duration as people write it: "3h 30m", "1 hour", "90",
// "2 hrs and 5 minutes", "1:30". Not ok when it is none, or not above zero.
func seconds(text string) (n int, ok bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	if len(text) > 200 {
		return 0, false
	}
	if strings.Contains(text, ":") {
		v, err := sexagesimal(text)
		return int(v), err == nil && v > 0
	}
	text = strings.NewReplacer(",", " ", " and ", " ").Replace(text)
	rest := strings.TrimSpace(durationToken.ReplaceAllString(text, ""))
	if rest != "" {
		return 0, false
	}
	total := 0.0
	for _, token := range durationToken.FindAllString(text, -1) {
		m := durationPart.FindStringSubmatch(strings.TrimSpace(token))
		if m == nil {
			return 0, false
		}
		unit, known := durationUnits[m[2]]
		amount, err := strconv.ParseFloat(m[1], 64)
		if !known || err != nil {
			return 0, false
		}
		total += amount * unit
	}
	if total < 1 || total > 1e9 {
		return 0, false
	}
	return int(total), true
}

// Package secret holds values that must never be printed.
package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// Value is text that prints as *** in every way Go prints, logs or marshals
// it. Reveal is the only way out.
type Value struct{ text string }

// New wraps text.
func New(text string) Value { return Value{text} }

// Reveal returns the text, for the one place that has to hand it over.
func (v Value) Reveal() string { return v.text }

// Empty reports whether there is no text.
func (v Value) Empty() bool { return v.text == "" }

const mask = "***"

func (v Value) String() string {
	if v.text == "" {
		return ""
	}
	return mask
}

// GoString keeps %#v from showing the text.
func (v Value) GoString() string { return `secret.Value("` + v.String() + `")` }

// Format keeps every verb from showing the text.
func (v Value) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		fmt.Fprint(f, v.GoString())
		return
	}
	fmt.Fprint(f, v.String())
}

// LogValue keeps slog from showing the text.
func (v Value) LogValue() slog.Value { return slog.StringValue(v.String()) }

// MarshalJSON masks the text: a secret does not survive a round trip.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(v.String()) }

// MarshalText masks the text.
func (v Value) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText takes the text over.
func (v *Value) UnmarshalText(b []byte) error { v.text = string(b); return nil }

// UnmarshalJSON takes the text over.
func (v *Value) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &v.text) }

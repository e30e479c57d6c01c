package yamlconfig

import "encoding/json"

// Scalar is a value without quotes that is not text by YAML's rules, of a key
// whose type somebody else knows: 0100 is the number 64, or the text "0100"
// where text belongs.
type Scalar struct {
	Text  string // as it was written
	Value any    // what it means by itself: bool, int, float64 or, for a date, its text
}

// Written gives both.
func (s Scalar) Written() (text string, value any) { return s.Text, s.Value }

// MarshalJSON writes what the value means by itself.
func (s Scalar) MarshalJSON() ([]byte, error) { return json.Marshal(s.Value) }

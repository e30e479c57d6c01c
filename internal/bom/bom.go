// Package bom takes the byte order mark away that some editors put before a
// text in UTF-8. It is no part of the text.
package bom

import "bytes"

// Trim is text without a byte order mark at its beginning.
func Trim(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\ufeff")) }

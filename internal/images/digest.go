package images

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// digest hashes parts so that no two different lists hash alike.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

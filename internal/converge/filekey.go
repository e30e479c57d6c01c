package converge

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"sync"
)

// keyedHash begins a LabelFile label whose hash needs a key.
const keyedHash = "keyed:"

// KeyFile is a file beside a secret one, with a key that never leaves the host:
// the hash of the secret file, which a label shows, says nothing to who does
// not have it. It is made once and stays. A secret file that a container is
// recreated for needs one.
func KeyFile(secret string) File {
	made := sync.OnceValue(func() []byte { return []byte(rand.Text() + "\n") })
	return File{
		Path: keyPath(secret), Mode: 0o600, Secret: true,
		Merge: func(_ *Observed, current []byte) ([]byte, error) {
			if len(current) > 0 {
				return current, nil
			}
			return made(), nil
		},
	}
}

func keyPath(secret string) string { return path.Join(path.Dir(secret), "hepta.key") }

// hash is the value of the LabelFile label of a file.
func (p *planner) hash(f *file) string {
	if !f.want.Secret {
		return Hash(f.content)
	}
	sum := hmac.New(sha256.New, p.file(keyPath(f.want.Path)).content)
	sum.Write(f.content)
	return keyedHash + hex.EncodeToString(sum.Sum(nil))
}

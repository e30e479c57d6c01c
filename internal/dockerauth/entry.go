// Package dockerauth reads the docker CLI configuration, and what it holds about
// each registry, as the docker CLI does.
package dockerauth

import (
	"encoding/base64"
	"errors"
	"strings"
)

// Entry is the value of one key below auths.
type Entry struct {
	Auth          string `json:"auth"` // user:password in base64; counts before the next two
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// ErrDamaged is the error of an entry that no docker CLI has written. It quotes
// nothing of it.
var ErrDamaged = errors.New("they are not user:password in base64")

// Login is the user and the password of an entry, both empty where it has none.
func (e Entry) Login() (user, password string, err error) {
	if e.Auth == "" {
		return e.Username, e.Password, nil
	}
	plain, err := base64.StdEncoding.DecodeString(e.Auth)
	if err != nil {
		return "", "", ErrDamaged
	}
	user, password, ok := strings.Cut(string(plain), ":")
	if !ok || user == "" {
		return "", "", ErrDamaged
	}
	return user, strings.Trim(password, "\x00"), nil
}

// Hostname is the registry that a key below auths names: clients have also kept
// whole addresses.
func Hostname(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, _, _ := strings.Cut(key, "/")
	return host
}

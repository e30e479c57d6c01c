package runner

import (
	"slices"
	"time"
)

// keysOfToken are the keys of a section that say something about its token and
// nothing about another one: the runner's number in the forge, and from when
// until when the token is good. A runner renews a token by these times.
var keysOfToken = []string{"id", "token_obtained_at", "token_expires_at"}

// authToken is the authentication token of a section.
type authToken struct {
	Secret
	obtained, expires time.Time // zero: it does not expire
}

// tokenOf is a token that a forge has just made.
func tokenOf(made Made) authToken {
	t := authToken{Secret: made.Token}
	if !made.ExpiresAt.IsZero() {
		t.obtained, t.expires = time.Now().UTC().Truncate(time.Second), made.ExpiresAt.UTC()
	}
	return t
}

// setIn makes a section hold the token.
func (t authToken) setIn(s *Section) {
	s.Set["token"] = t.Reveal()
	if !t.expires.IsZero() {
		s.Set["token_obtained_at"], s.Set["token_expires_at"] = t.obtained, t.expires
	}
}

// replacing is s for a section that holds have: where s brings another token,
// what belongs to the one of before goes.
func (s Section) replacing(have map[string]any) Section {
	token, sets := s.Set["token"]
	if !sets || have["token"] == token {
		return s
	}
	s.Unset = slices.Clone(s.Unset)
	for _, k := range keysOfToken {
		s.Unset = append(s.Unset, []string{k})
	}
	return s
}

package runner

import (
	"context"
	"errors"
	"time"
)

// What a forge's answer may mean. Errors of an API wrap them.
var (
	// ErrNotFound: the forge knows no such runner.
	ErrNotFound = errors.New("the forge knows no such runner")
	// ErrRefused: the token does not give that right, or is no token.
	ErrRefused = errors.New("the forge refuses the token")
	// ErrUnsupported: the forge is too old for this call.
	ErrUnsupported = errors.New("the forge does not know this call")
	// ErrDisabled: the forge could, but its settings forbid it.
	ErrDisabled = errors.New("the forge's settings forbid it")
)

// Made is a runner that the forge has just made.
type Made struct {
	ID    int64
	Token Secret // the runner's authentication token, told this once
	// ExpiresAt is when the forge will refuse the token; zero: never.
	ExpiresAt time.Time
}

// Status is how the forge sees a runner.
type Status struct {
	ID          int64
	Description string
	Note        string // only from RunnerStatus; empty on forges before 14.8
	Online      bool
	Paused      bool
	Contacted   bool // has been online at some time; only from RunnerStatus
}

// API is what is asked of a forge. Every call is one request, apart from
// ListRunners, which pages.
type API interface {
	// ListRunners lists the runners that the token may manage.
	ListRunners(ctx context.Context) ([]Status, error)
	// CreateRunner makes a runner the way that needs an API token; it is
	// ErrUnsupported on forges before 16.0.
	CreateRunner(ctx context.Context, a Attributes) (Made, error)
	// RegisterRunner makes a runner with a registration token; ErrDisabled
	// where the forge allows no such tokens.
	RegisterRunner(ctx context.Context, registration Secret, a Attributes) (Made, error)
	UpdateRunner(ctx context.Context, id int64, a Attributes) error
	// PauseRunner makes a runner take no more jobs, or take them again.
	PauseRunner(ctx context.Context, id int64, paused bool) error
	DeleteRunner(ctx context.Context, id int64) error
	// DeleteByToken removes a runner with its own token.
	DeleteByToken(ctx context.Context, token Secret) error
	// ResetToken gives a runner a new token; the old one is refused from then on.
	ResetToken(ctx context.Context, id int64) (Made, error)
	// Verify says whose token it is; id 0 on forges that only say that it is
	// good. ErrRefused when it is not.
	Verify(ctx context.Context, token Secret) (id int64, err error)
	RunnerStatus(ctx context.Context, id int64) (Status, error)
}

package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"vmplan.dev/vmplan/state"
)

// lockOptions say whether and how a command locks the state.
type lockOptions struct {
	operation string // what for; empty: no lock
	timeout   time.Duration
}

func (o *lockOptions) addTo(f *pflag.FlagSet) {
	f.DurationVar(&o.timeout, "lock-timeout", 0, "how long to wait for the state's lock when somebody else holds it")
}

// lock takes the state's lock, saying once whom it waits for.
func (s *session) lock(ctx context.Context, o lockOptions) error {
	info := state.NewLockInfo(o.operation)
	unlock, err := state.LockWait(ctx, s.backend, info, o.timeout, func(l *state.LockedError) {
		s.app.printer().Note(fmt.Sprintf("Waiting up to %s: %v.", o.timeout, l))
	})
	if err != nil {
		return fmt.Errorf("lock the state: %w", err)
	}
	s.unlock = unlock
	return nil
}

package cli

import (
	"context"
	"errors"
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
	f.DurationVar(&o.timeout, "lock-timeout", 0, "`TIME`, such as 5m, to wait for the state's lock when somebody else holds it")
}

// lock takes the state's lock, saying once whom it waits for.
func (s *session) lock(ctx context.Context, o lockOptions) error {
	info := state.NewLockInfo(o.operation)
	unlock, err := state.LockWait(ctx, s.backend, info, o.timeout, func(l *state.LockedError) {
		s.app.printer().Aside(fmt.Sprintf("Waiting up to %s: %v.", o.timeout, l))
	})
	var held *state.LockedError
	switch {
	case errors.As(err, &held):
		return advise(err, "With --lock-timeout 5m it would wait until the lock is free, for five minutes at most.")
	case err != nil:
		return err
	}
	s.unlock = unlock
	return nil
}

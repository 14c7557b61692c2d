package cli

import (
	"time"

	"github.com/spf13/pflag"
)

// lockOptions say whether and how a command locks the state.
type lockOptions struct {
	operation string // what for; empty: no lock
	timeout   time.Duration
}

func (o *lockOptions) addTo(f *pflag.FlagSet) {
	f.DurationVar(&o.timeout, "lock-timeout", 0, "wait up to `TIME`, such as 5m, for the state lock")
}

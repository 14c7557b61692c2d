package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// limitOptions say how far a plan may go.
type limitOptions struct {
	maxImpact string
	allow     []string
}

func (o *limitOptions) addTo(f *pflag.FlagSet) {
	f.StringVar(&o.maxImpact, "max-impact", "", "refuse a plan with more than this `IMPACT` (live, next-boot, restart, replace or destroy), with exit code 3")
	f.StringArrayVar(&o.allow, "allow", nil, "exempt `ADDR` and what it owns from --max-impact (may be repeated)")
}

// parse reads the flags; without --max-impact everything is allowed, and it gives nil.
func (o *limitOptions) parse() (*planner.Limit, error) {
	if o.maxImpact == "" {
		if len(o.allow) > 0 {
			return nil, errors.New("--allow makes exceptions from --max-impact: give both")
		}
		return nil, nil
	}
	var l planner.Limit
	if err := l.Impact.UnmarshalText([]byte(o.maxImpact)); err != nil || l.Impact == drivers.ImpactRecord {
		return nil, fmt.Errorf("--max-impact %s: write live, next-boot, restart, replace or destroy", o.maxImpact)
	}
	var err error
	l.Allow, err = parseAddrs("--allow", o.allow)
	return &l, err
}

// checkLimit refuses a plan with changes beyond a limit.
func (a *App) checkLimit(p *planner.Plan, l *planner.Limit) error {
	var beyond []string
	for _, c := range l.Beyond(p.Changes) {
		beyond = append(beyond, fmt.Sprintf("%s (%s)", c.Addr, c.Impact))
	}
	if len(beyond) == 0 {
		return nil
	}
	a.printer().Refusal(fmt.Sprintf("The plan goes beyond --max-impact %s (--allow ADDR makes an exception)", l.Impact), beyond)
	return exitError{ExitRefused}
}

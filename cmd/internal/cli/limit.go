package cli

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// limitOptions say how far a plan may go.
type limitOptions struct {
	maxImpact string
	allow     []string
}

func (o *limitOptions) addTo(f *pflag.FlagSet) {
	f.StringVar(&o.maxImpact, "max-impact", "", "refuse, with exit code 3, a plan that goes beyond `IMPACT`: live, next-boot, restart, replace or destroy")
	f.StringArrayVar(&o.allow, "allow", nil, "with --max-impact: `ADDR`, and what it owns, may go beyond (may be repeated)")
}

// limit is how far a plan may go.
type limit struct {
	impact drivers.Impact
	allow  []resource.Addr
}

// parse reads the flags; without --max-impact everything is allowed.
func (o *limitOptions) parse() (l limit, err error) {
	l.impact = drivers.ImpactDestroy
	if o.maxImpact == "" && len(o.allow) > 0 {
		return l, errors.New("--allow makes exceptions from --max-impact: give both")
	}
	if o.maxImpact != "" {
		if err := l.impact.UnmarshalText([]byte(o.maxImpact)); err != nil || l.impact == drivers.ImpactRecord {
			return l, fmt.Errorf("--max-impact %s: write live, next-boot, restart, replace or destroy", o.maxImpact)
		}
	}
	l.allow, err = parseAddrs("--allow", o.allow)
	return l, err
}

// checkLimit refuses a plan with changes beyond the limit.
func (a *App) checkLimit(p *planner.Plan, l limit) error {
	var beyond []string
	for _, c := range p.Changes {
		allowed := slices.ContainsFunc(l.allow, func(a resource.Addr) bool { return a.Contains(c.Addr) })
		if c.Action != planner.ActionCreate && c.Impact > l.impact && !allowed {
			beyond = append(beyond, fmt.Sprintf("%s (%s)", c.Addr, c.Impact))
		}
	}
	if len(beyond) == 0 {
		return nil
	}
	a.printer().Refusal(fmt.Sprintf("The plan goes beyond --max-impact %s (--allow ADDR makes an exception)", l.impact), beyond)
	return exitError{ExitRefused}
}

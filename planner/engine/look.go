package engine

import (
	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/planner"
)

// Live is what the last look at the hosts saw of an object that is desired or recorded; nil: nothing.
func (p *Project) Live(r resource.Resource) *drivers.Object {
	return liveObject(p.seen, p.normalized(r))
}

// Outputs evaluates the outputs with what running guests told when the hosts were last looked at.
func (p *Project) Outputs() ([]config.Output, config.Diagnostics) {
	live := map[resource.Addr]map[string][]string{}
	for vm := range resource.Of[*resource.VM](p.seen.Desired) {
		if o := liveObject(p.seen, vm); o != nil && o.Addresses != nil {
			live[vm.Addr] = o.Addresses
		}
	}
	return p.config.Outputs(live)
}

// normalized is r as its host's driver would name it, or r itself.
func (p *Project) normalized(r resource.Resource) resource.Resource {
	if d := p.drivers[r.Base().Host]; d != nil {
		if n, err := d.Normalize(r); err == nil {
			return n
		}
	}
	return r
}

// liveObject is what the host has under r's key, or nil.
func liveObject(in planner.Input, r resource.Resource) *drivers.Object {
	host, ok := in.Hosts[r.Base().Host]
	if !ok {
		return nil
	}
	return host.Observed.Objects[resource.Key(r)]
}

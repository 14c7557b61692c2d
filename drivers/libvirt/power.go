//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"strings"
	"time"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

const (
	defaultShutdownTimeout = 60 * time.Second
	// powerPoll is how often a domain's state is asked for, and pressEvery how often the power button is pressed: a guest
	// that still boots ignores it.
	powerPoll  = 150 * time.Millisecond
	pressEvery = 4 * time.Second
)

func (c *call) startVM(vm *resource.VM) error {
	dom, err := c.domain(vm)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	defer freeDomain(dom)
	state, err := domainState(dom, vm)
	if err != nil {
		return err
	}
	switch state {
	case libvirt.DOMAIN_SHUTOFF, libvirt.DOMAIN_CRASHED:
		if err = c.boot(dom, vm); err == nil {
			return c.openForwards(dom, vm)
		}
	case libvirt.DOMAIN_PAUSED:
		err = dom.Resume()
	case libvirt.DOMAIN_PMSUSPENDED:
		err = dom.PMWakeup(0)
	}
	if err != nil {
		if now, stateErr := domainState(dom, vm); stateErr == nil && now == libvirt.DOMAIN_RUNNING {
			return nil // somebody else was faster
		}
	}
	return fail(err, "start vm %s", vm.Name)
}

// boot starts the domain. Where the host forbids its serial log (a pool's folder that a security policy keeps for disks), the
// guest starts without one.
func (c *call) boot(dom *libvirt.Domain, vm *resource.VM) error {
	failed := dom.Create()
	if failed == nil {
		return nil
	}
	def, err := wholeDefinition(dom)
	if err != nil {
		return failed
	}
	if log := logPath(def); log == "" || !strings.Contains(failed.Error(), log) {
		return failed
	}
	c.env.Log.Warn("the guest starts without a serial log, which the host does not let it write", "vm", vm.Name, "error", failed)
	for _, kind := range []string{"serial", "console"} {
		for _, n := range def.Get("devices").All(kind) {
			n.Drop("log")
		}
	}
	defined, err := c.conn.DomainDefineXML(def.String())
	if err != nil {
		return err
	}
	freeDomain(defined)
	return dom.Create()
}

func domainState(dom *libvirt.Domain, vm *resource.VM) (libvirt.DomainState, error) {
	state, _, err := dom.GetState()
	return state, fail(err, "read the state of vm %s", vm.Name)
}

// stopVM asks the guest to shut down and, when it has not within its time, switches it off.
func (c *call) stopVM(vm *resource.VM, force bool) error {
	dom, err := c.domain(vm)
	if missing(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	defer freeDomain(dom)
	state, err := domainState(dom, vm)
	if err != nil || state == libvirt.DOMAIN_SHUTOFF {
		return err
	}
	if !force {
		if state == libvirt.DOMAIN_PAUSED {
			if err := dom.Resume(); err != nil {
				c.env.Log.Debug("resume to shut down", "vm", vm.Name, "error", err)
			}
		}
		stopped, err := c.shutDown(dom, vm)
		if stopped || err != nil {
			return err
		}
	}
	err = dom.Destroy()
	if missing(err) || hasCode(err, libvirt.ERR_OPERATION_INVALID) {
		return nil // it went off by itself meanwhile
	}
	return fail(err, "switch off vm %s", vm.Name)
}

// shutDown asks the guest's agent and presses the power button, again and again until the guest is off or its time is up.
func (c *call) shutDown(dom *libvirt.Domain, vm *resource.VM) (stopped bool, err error) {
	timeout := time.Duration(vm.ShutdownTimeout)
	if timeout <= 0 {
		timeout = defaultShutdownTimeout
	}
	deadline := time.Now().Add(timeout)
	c.report(drivers.Progress{Phase: "shutting down"})
	for next, first := time.Now(), true; time.Now().Before(deadline); {
		if !time.Now().Before(next) {
			next = time.Now().Add(pressEvery)
			err := c.pressPower(dom, first)
			first = false
			if missing(err) {
				return true, nil
			} else if err != nil {
				c.env.Log.Debug("shut down", "vm", vm.Name, "error", err)
			}
		}
		state, err := domainState(dom, vm)
		if missing(err) || err == nil && state == libvirt.DOMAIN_SHUTOFF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if err := pause(c.ctx, powerPoll); err != nil {
			return false, err
		}
	}
	return false, nil
}

// pressPower presses the power button, which returns at once. The agent is asked beside it, once, for guests that do not
// listen to the button: on a guest that hangs that call blocks for a minute.
func (c *call) pressPower(dom *libvirt.Domain, askAgent bool) error {
	if c.test {
		return dom.Shutdown()
	}
	if askAgent && dom.Ref() == nil {
		go func() {
			defer freeDomain(dom)
			_ = dom.ShutdownFlags(libvirt.DOMAIN_SHUTDOWN_GUEST_AGENT)
		}()
	}
	return dom.ShutdownFlags(libvirt.DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
}

func (c *call) rebootVM(vm *resource.VM, force bool) error {
	dom, err := c.domain(vm)
	if err != nil {
		return fmt.Errorf("reboot: %w", err)
	}
	defer freeDomain(dom)
	if force {
		return fail(dom.Reset(0), "reset vm %s", vm.Name)
	}
	return fail(dom.Reboot(0), "reboot vm %s", vm.Name)
}

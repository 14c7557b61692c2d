//go:build !nolibvirt

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/guest"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
)

const (
	defaultReadyTimeout = 5 * time.Minute
	addressPoll         = 500 * time.Millisecond
	agentTimeout        = 5 // seconds, of one command
)

var errOff = errors.New("the guest is off")

// waitReady waits for all that vm.Ready names.
func (c *call) waitReady(vm *resource.VM) error {
	ready := vm.Ready
	if ready == nil {
		return nil
	}
	dom, err := c.domain(vm)
	if err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	defer freeDomain(dom)
	if err := c.Can(drivers.AbilityReady); err != nil {
		return fmt.Errorf("wait for vm %s: %w", vm.Name, err)
	}
	timeout := time.Duration(ready.Timeout)
	if timeout <= 0 {
		timeout = defaultReadyTimeout
	}
	limited, cancel := context.WithTimeout(c.ctx, timeout)
	defer cancel()
	ctx, stop := context.WithCancelCause(limited)
	defer stop(nil)
	go c.watchPower(ctx, vm, stop)

	w := &waiter{call: c, vm: vm, dom: dom, agent: agentOf(dom)}
	err = w.all(ctx, ready)
	switch {
	case err == nil:
		return nil
	case c.ctx.Err() != nil:
		return c.ctx.Err()
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("%w after %s: %w", drivers.ErrTimeout, resource.Duration(timeout), err)
	}
	if tail := c.serialTail(vm); tail != "" {
		err = fmt.Errorf("%w\nThe last lines on its serial console:\n%s", err, tail)
	}
	return fmt.Errorf("vm %s is not ready: %w", vm.Name, err)
}

// watchPower ends the waiting when the guest goes off.
func (c *call) watchPower(ctx context.Context, vm *resource.VM, stop context.CancelCauseFunc) {
	dom, err := c.domain(vm)
	if err != nil {
		return
	}
	defer freeDomain(dom)
	for pause(ctx, time.Second) == nil {
		if state, err := domainState(dom, vm); missing(err) || err == nil && (state == libvirt.DOMAIN_SHUTOFF || state == libvirt.DOMAIN_CRASHED) {
			stop(errOff)
			return
		}
	}
}

// agentOf gives the channel to the guest's agent. A command blocks until the agent answers or its time is up.
func agentOf(dom *libvirt.Domain) guest.Agent {
	return func(ctx context.Context, command string) (string, error) {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		reply, err := dom.QemuAgentCommand(command, agentTimeout, 0)
		return reply, fail(err, "agent")
	}
}

type waiter struct {
	*call
	vm    *resource.VM
	dom   *libvirt.Domain
	agent guest.Agent
}

func (w *waiter) all(ctx context.Context, ready *resource.Ready) error {
	if ready.Address != nil {
		w.report(drivers.Progress{Phase: "waiting for an address"})
		if err := w.addresses(ctx); err != nil {
			return err
		}
	}
	if ready.Agent != nil {
		w.report(drivers.Progress{Phase: "waiting for the agent"})
		if err := guest.WaitAgent(ctx, w.agent); err != nil {
			return err
		}
	}
	if ready.SSH != nil {
		w.report(drivers.Progress{Phase: "waiting for ssh"})
		addr, err := w.sshAddress(ctx)
		if err != nil {
			return err
		}
		port := ready.SSH.Port
		if port == 0 {
			port = 22
		}
		if err := guest.WaitSSH(ctx, w.dialer(), net.JoinHostPort(addr, strconv.Itoa(port))); err != nil {
			return err
		}
	}
	if ready.CloudInit != nil {
		w.report(drivers.Progress{Phase: "waiting for cloud-init"})
		return guest.WaitCloudInit(ctx, w.agent)
	}
	return nil
}

func (w *waiter) dialer() guest.Dialer {
	if w.env.Dial != nil {
		return w.env.Dial
	}
	return (&net.Dialer{}).DialContext
}

// sshAddress is the vm's fixed address, else the first that the host or the agent tells.
func (w *waiter) sshAddress(ctx context.Context) (string, error) {
	for _, nic := range w.vm.NICs {
		if _, err := net.ResolveIPAddr("ip4", nic.Address); nic.Address != "" && err == nil {
			return nic.Address, nil
		}
	}
	var last error
	for {
		for _, nic := range w.vm.NICs {
			ips, err := w.addressesOf(nic)
			if err != nil {
				last = err
			}
			if len(ips) > 0 {
				return ips[0], nil
			}
		}
		if err := pause(ctx, addressPoll); err != nil {
			return "", waitFailed(ctx, "an address to reach ssh at", last)
		}
	}
}

func waitFailed(ctx context.Context, what string, last error) error {
	err := fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
	if last != nil {
		err = fmt.Errorf("%w; last answer: %w", err, last)
	}
	return err
}

// addresses waits until the guest has an address on each of its networks that give one.
func (w *waiter) addresses(ctx context.Context) error {
	for _, nic := range w.vm.NICs {
		gives, err := w.givesAddresses(nic)
		if err != nil {
			return err
		}
		var last error
		for gives {
			ips, err := w.addressesOf(nic)
			if len(ips) > 0 {
				break
			}
			last = err
			if pause(ctx, addressPoll) != nil {
				return waitFailed(ctx, "an address on nic "+nic.Label, last)
			}
		}
	}
	return nil
}

// givesAddresses tells whether the NIC is on a network whose host answers DHCP.
func (w *waiter) givesAddresses(nic resource.NIC) (bool, error) {
	if nic.Source == "" {
		return false, nil
	}
	n, err := w.conn.LookupNetworkByName(nic.Source)
	if err != nil {
		return false, fail(err, "look up network %s", nic.Source)
	}
	defer freeNetwork(n)
	tree, err := networkTree(n)
	if err != nil {
		return false, err
	}
	return definition.IPv4(tree).Get("dhcp") != nil, nil
}

// addressesOf are the IPv4 addresses of a NIC: its lease, else what the agent says, else what the host's ARP table has.
func (w *waiter) addressesOf(nic resource.NIC) ([]string, error) {
	if nic.Source != "" {
		leases, err := w.leases(nic.Source)
		if err != nil {
			return nil, err
		}
		var ips []string
		for _, l := range leases {
			if l.Mac == nic.MAC {
				ips = append(ips, l.IPaddr)
			}
		}
		if len(ips) > 0 {
			return ips, nil
		}
	}
	for _, source := range []libvirt.DomainInterfaceAddressesSource{libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT, libvirt.DOMAIN_INTERFACE_ADDRESSES_SRC_ARP} {
		list, err := w.dom.ListAllInterfaceAddresses(source)
		if err != nil {
			continue // no agent, or a table that cannot be read: the other source may know
		}
		if ips := ipv4Of(list, nic.MAC); len(ips) > 0 {
			return ips, nil
		}
	}
	return nil, nil
}

func ipv4Of(list []libvirt.DomainInterface, mac string) []string {
	var ips []string
	for _, i := range list {
		for _, a := range i.Addrs {
			if i.Hwaddr == mac && a.Type == libvirt.IP_ADDR_TYPE_IPV4 {
				ips = append(ips, a.Addr)
			}
		}
	}
	return ips
}

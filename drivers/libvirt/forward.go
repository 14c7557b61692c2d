//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/definition"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// libvirt keeps no port forwards, so QEMU is told through its monitor, and what it has open is asked there too.

// readOpenForwards gives the running vm the port forwards that QEMU has open, under the names they have in its definition.
func (o *observation) readOpenForwards(dom *libvirt.Domain, live *xmltree.Node, running, defined *resource.VM) error {
	for i := range running.NICs {
		nic := &running.NICs[i]
		if !isUser(nic) || o.test {
			continue
		}
		open, err := openPorts(dom, netdev(live, running, nic.Label))
		if ended(err) {
			return nil
		}
		if err != nil {
			return fail(err, "ask vm %s for its port forwards", running.Name)
		}
		for _, f := range defined.NICForwards(nic.Label) {
			if at := indexRule(open, f); at >= 0 {
				open[at].Name = f.Name
			}
		}
		nic.PortForwards = open
	}
	return nil
}

func isUser(nic *resource.NIC) bool { return nic.User != nil && *nic.User }

// ended tells whether err says that the guest is off by now.
func ended(err error) bool { return missing(err) || hasCode(err, libvirt.ERR_OPERATION_INVALID) }

// netdev is what QEMU calls the host's side of a NIC.
func netdev(live *xmltree.Node, vm *resource.VM, label string) string {
	return "host" + definition.NIC(live, vm, label).Get("alias").Attr("name")
}

// openPorts asks QEMU which port forwards a netdev has open. Each is named after its protocol and port.
func openPorts(dom *libvirt.Domain, netdev string) ([]resource.PortForward, error) {
	answer, err := dom.QemuMonitorCommand("info usernet", libvirt.DOMAIN_QEMU_MONITOR_COMMAND_HMP)
	if err != nil {
		return nil, err
	}
	return parseUsernet(answer, netdev), nil
}

// parseUsernet reads QEMU's table of the connections of all user-mode networks.
func parseUsernet(answer, netdev string) []resource.PortForward {
	var out []resource.PortForward
	here := false
	for line := range strings.Lines(answer) {
		if strings.HasPrefix(line, "Hub ") {
			here = strings.Contains(line, "("+netdev+")")
			continue
		}
		// TCP[HOST_FORWARD]  11  127.0.0.1  2222  10.0.2.15  22  0  0
		columns := strings.Fields(line)
		if !here || len(columns) < 6 {
			continue
		}
		protocol, ok := strings.CutSuffix(columns[0], "[HOST_FORWARD]")
		if !ok {
			continue
		}
		f := resource.PortForward{
			Protocol: strings.ToLower(protocol), Address: strings.Replace(columns[2], "*", "0.0.0.0", 1),
			HostPort: portNumber(columns[3]), GuestPort: portNumber(columns[5]),
		}
		f.Name = fmt.Sprintf("%s-%d", f.Protocol, f.HostPort)
		out = append(out, f)
	}
	return out
}

// rule is what hostfwd_add is told, and all that QEMU knows of a port forward.
func rule(f resource.PortForward) string { return fmt.Sprintf("%s-:%d", listens(f), f.GuestPort) }

// listens is what hostfwd_remove is told.
func listens(f resource.PortForward) string {
	return fmt.Sprintf("%s:%s:%d", f.Protocol, f.Address, f.HostPort)
}

func indexRule(list []resource.PortForward, f resource.PortForward) int {
	return slices.IndexFunc(list, func(g resource.PortForward) bool { return rule(f) == rule(g) })
}

// liveForwards brings the port forwards of a running guest's NIC up to date.
func (e *edit) liveForwards(dom *libvirt.Domain, label string) error {
	nic, was := e.after.NIC(label), e.before.NICForwards(label)
	if nic == nil || len(nic.PortForwards)+len(was) == 0 {
		return nil
	}
	return e.moveForwards(dom, nic, was)
}

// moveForwards closes those of a running NIC's port forwards that were and are no more, and opens what is missing.
func (c *call) moveForwards(dom *libvirt.Domain, nic *resource.NIC, was []resource.PortForward) error {
	if c.test {
		return nil
	}
	live, err := domainTree(dom, 0)
	if err != nil {
		return err
	}
	dev := netdev(live, &resource.VM{NICs: []resource.NIC{*nic}}, nic.Label)
	open, err := openPorts(dom, dev)
	if err != nil {
		return err
	}
	for _, f := range was {
		if indexRule(nic.PortForwards, f) >= 0 || indexRule(open, f) < 0 {
			continue
		}
		if err := monitor(dom, fmt.Sprintf("hostfwd_remove %s %s", dev, listens(f)), "removed"); err != nil {
			return fmt.Errorf("close port forward %s: %w", f.Name, err)
		}
	}
	for _, f := range nic.PortForwards {
		if indexRule(open, f) >= 0 {
			continue
		}
		if err := monitor(dom, fmt.Sprintf("hostfwd_add %s %s", dev, rule(f)), ""); err != nil {
			return fmt.Errorf("open port forward %s: %w; is %s port %d of %s taken on the host, or one that QEMU may not have, below 1024?", f.Name, err, f.Protocol, f.HostPort, f.Address)
		}
	}
	return nil
}

// monitor gives QEMU a command. It answers one that worked with nothing, or with a text that ends in success.
func monitor(dom *libvirt.Domain, command, success string) error {
	answer, err := dom.QemuMonitorCommand(command, libvirt.DOMAIN_QEMU_MONITOR_COMMAND_HMP)
	if err != nil {
		return err
	}
	if answer = strings.TrimSpace(answer); answer != "" && (success == "" || !strings.HasSuffix(answer, success)) {
		return fmt.Errorf("%w: QEMU says: %s", drivers.ErrConflict, answer)
	}
	return nil
}

// openForwards opens the port forwards of a guest that has just been started.
func (c *call) openForwards(dom *libvirt.Domain, vm *resource.VM) error {
	live, err := domainTree(dom, 0)
	if ended(err) {
		return nil
	}
	if err != nil {
		return err
	}
	nics := poolIndex{}.readVM(live, vm).NICs
	for i := range nics {
		if len(nics[i].PortForwards) == 0 {
			continue
		}
		if err := c.moveForwards(dom, &nics[i], nil); err != nil {
			return fail(err, "start vm %s: nic %s", vm.Name, nics[i].Label)
		}
	}
	return nil
}

func portNumber(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

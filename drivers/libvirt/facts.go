//go:build !nolibvirt

package libvirt

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/libvirt/internal/xmltree"
)

// hostFacts are the host's facts and what defining a domain has to know of it.
type hostFacts struct {
	drivers.Facts
	// virt gives the value of <domain type=…> for kvm and qemu; on libvirt's test driver both are "test".
	virt map[string]string
	// machines are the machine types, by architecture.
	machines map[string][]string
	// guestUser is who guests run as; folders of the machine can only be looked at when it is local, this one.
	guestUser guestUser
	local     bool
}

// readFacts asks the host for its capabilities. It costs a second when libvirt has to probe QEMU first, else milliseconds.
func readFacts(s *session, local bool) (*hostFacts, error) {
	text, err := s.conn.GetCapabilities()
	if err != nil {
		return nil, fail(err, "read the host's capabilities")
	}
	caps, err := xmltree.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read the host's capabilities: %w", err)
	}
	node, err := s.conn.GetNodeInfo()
	if err != nil {
		return nil, fail(err, "read the host's size")
	}
	f := &hostFacts{machines: machinesOf(caps), local: local && !s.test, guestUser: readGuestUser(caps, s.user), Facts: drivers.Facts{
		Driver: "libvirt",
		UUID:   caps.Get("host", "uuid").Text(),
		Arch:   caps.Get("host", "cpu", "arch").Text(),
		CPUs:   int(node.Cpus),
		Memory: resource.Size(node.Memory) * resource.KiB,
	}}
	// The two calls can disagree, and it is the second that tells what is free.
	if stats, err := s.conn.GetMemoryStats(libvirt.NODE_MEMORY_STATS_ALL_CELLS, 0); err == nil && stats.Total > 0 {
		f.Memory = resource.Size(stats.Total) * resource.KiB
	}
	if f.Hostname, err = s.conn.GetHostname(); err != nil {
		return nil, fail(err, "read the host's name")
	}
	if f.Version, err = versions(s); err != nil {
		return nil, err
	}
	f.virt, f.DomainTypes = domainTypes(caps, f.Arch, func() bool { return hasVirtualization(s.conn, caps, local) })
	return f, nil
}

func versions(s *session) (string, error) {
	lib, err := s.conn.GetLibVersion()
	if err != nil {
		return "", fail(err, "read libvirt's version")
	}
	text := "libvirt " + version(lib)
	if s.test {
		return text + ", test driver", nil
	}
	hypervisor, err := s.conn.GetVersion()
	if err != nil {
		return "", fail(err, "read QEMU's version")
	}
	return text + ", QEMU " + version(hypervisor), nil
}

func version(v uint32) string { return fmt.Sprintf("%d.%d.%d", v/1e6, v/1e3%1e3, v%1e3) }

// domainTypes tells what really works, best first. libvirt lists kvm as soon as /dev/kvm is there, also inside a virtual
// machine or container whose CPU has no virtualization: guests then hang in their firmware. So the CPU must have it too.
func domainTypes(caps *xmltree.Node, arch string, virtualization func() bool) (virt map[string]string, types []string) {
	virt = map[string]string{}
	for _, guest := range caps.All("guest") {
		a := guest.Get("arch")
		if guest.Get("os_type").Text() != "hvm" || a.Attr("name") != arch {
			continue
		}
		for _, d := range a.All("domain") {
			switch t := d.Attr("type"); t {
			case "kvm", "qemu":
				virt[t] = t
			case "test":
				virt["kvm"], virt["qemu"] = t, t
				return virt, []string{"qemu"}
			}
		}
	}
	x86 := arch == "x86_64" || arch == "i686"
	if virt["kvm"] != "" && (!x86 || virtualization()) {
		types = append(types, "kvm")
	}
	if virt["qemu"] != "" {
		types = append(types, "qemu")
	}
	return virt, types
}

// hasVirtualization tells whether the host's CPU has vmx or svm: on this machine the kernel says so, of another one libvirt
// tells its CPU's features, those that its model implies included.
func hasVirtualization(conn *libvirt.Connect, caps *xmltree.Node, local bool) bool {
	if local {
		info, err := os.ReadFile("/proc/cpuinfo")
		return err == nil && slices.ContainsFunc(strings.Fields(string(info)), func(w string) bool { return w == "vmx" || w == "svm" })
	}
	cpu := caps.Get("host", "cpu")
	if cpu == nil {
		return false
	}
	if expanded, err := conn.BaselineCPU([]string{cpu.String()}, libvirt.CONNECT_BASELINE_CPU_EXPAND_FEATURES); err == nil {
		if tree, err := xmltree.Parse(expanded); err == nil && cpuVirtualizes(tree) {
			return true
		}
	}
	return cpuVirtualizes(cpu)
}

func cpuVirtualizes(cpu *xmltree.Node) bool {
	return slices.ContainsFunc(cpu.All("feature"), func(f *xmltree.Node) bool {
		return f.Attr("name") == "vmx" || f.Attr("name") == "svm"
	})
}

package planner

import (
	"fmt"
	"slices"
	"strings"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// preflight foretells what the hosts would refuse, or would not be able to bear, half-way through an apply. Of what a host
// does not tell it says nothing.
func (p *planner) preflight() {
	for _, h := range p.sortedHosts() {
		if h.Observed == nil {
			continue
		}
		f := &preflightCheck{planner: p, host: h, facts: &h.Observed.Facts, pools: map[location]*poolUse{}}
		for _, o := range p.sorted {
			if o.destination.host == h.label && o.desired != nil {
				f.check(o)
			}
		}
		f.checkMemory()
		f.checkPools()
	}
}

// preflightCheck is the preflight of one host.
type preflightCheck struct {
	*planner
	host           *host
	facts          *drivers.Facts
	starting       []*object // vms that the plan starts, and that are off now
	startingMemory resource.Size
	pools          map[location]*poolUse
}

// poolUse is what the plan puts into a pool.
type poolUse struct {
	pool        *object
	whole, thin resource.Size // what is taken at once; what may be taken as guests write
	largest     *object       // of what is taken at once
}

func (f *preflightCheck) warn(o *object, path, summary, detail string) {
	f.addFinding(Finding{Severity: SeverityWarning, Addr: o.addr, Path: path, Summary: summary, Detail: detail})
}

func (f *preflightCheck) check(o *object) {
	switch want := o.planned.(type) {
	case *resource.VM:
		f.checkVM(o, want)
	case *resource.Network:
		if want.Mode == "bridge" && o.creates("bridge") {
			f.checkBridge(o, "bridge", want.Bridge)
		}
	case *resource.Pool:
		if o.creates("path") {
			f.checkFolder(o, want)
		}
	case *resource.Volume:
		f.addPoolUse(o, want)
	}
}

// creates tells whether the plan makes the object, or changes the field of it or a field in it.
func (o *object) creates(path string) bool {
	if o.action == ActionCreate || o.action == ActionReplace {
		return true
	}
	return o.action == ActionUpdate && slices.ContainsFunc(o.changes, func(c resource.Change) bool {
		return c.Path == path || strings.HasPrefix(c.Path, path+".")
	})
}

func (f *preflightCheck) checkVM(o *object, vm *resource.VM) {
	if o.start && !o.isOn() {
		f.starting = append(f.starting, o)
		f.startingMemory += vm.Memory
	}
	if o.creates("memory") || o.start {
		f.checkSize(o, vm)
	}
	for _, nic := range vm.NICs {
		if nic.Bridge != "" && nic.Network.IsZero() && o.creates("nic."+nic.Label) {
			f.checkBridge(o, "nic."+nic.Label+".bridge", nic.Bridge)
		}
	}
	if vm.DomainType == "kvm" && len(f.facts.DomainTypes) > 0 && !slices.Contains(f.facts.DomainTypes, "kvm") && (o.creates("domain_type") || o.start) {
		f.refuseAt(o, "domain_type", "the host has no kvm", fmt.Sprintf(
			`%s is to run with kvm, which does not work on host %q: its processor, or the machine around it, does not give it. Take out domain_type = "kvm" of the host block, and guests run emulated; or switch virtualisation on in the machine's firmware.`,
			o.addr, f.host.label))
		return
	}
	if guest := f.facts.Guest(vm); guest != nil {
		f.checkGuest(o, vm, guest)
	}
}

// checkSize compares a vm with the whole host.
func (f *preflightCheck) checkSize(o *object, vm *resource.VM) {
	if f.facts.Memory > 0 && vm.Memory > f.facts.Memory {
		f.refuseAt(o, "memory", "more memory than the host has", fmt.Sprintf(
			"%s is to have %s, and host %q has %s in all. Give it less memory, or another host.", o.addr, vm.Memory, f.host.label, f.facts.Memory))
	}
	if f.facts.CPUs > 0 && vm.VCPUs > f.facts.CPUs {
		f.warn(o, "vcpus", "more vCPUs than the host has CPUs", fmt.Sprintf(
			"%s is to have %d vCPUs, and host %q has %d CPUs: they take turns, which is slower than fewer vCPUs.", o.addr, vm.VCPUs, f.host.label, f.facts.CPUs))
	}
}

// checkGuest compares a vm with what guests of its sort can have.
func (f *preflightCheck) checkGuest(o *object, vm *resource.VM, can *drivers.GuestFacts) {
	refuse := func(path, what, has, fix string) {
		f.refuseAt(o, path, "the host cannot have this", fmt.Sprintf("%s asks for %s; host %q has %s. %s", o.addr, what, f.host.label, has, fix))
	}
	if vm.Machine != "" && len(can.Machines) > 0 && !slices.Contains(can.Machines, vm.Machine) && o.creates("machine") {
		refuse("machine", fmt.Sprintf("machine = %q", vm.Machine), "none of that name", "There are: "+some(can.Machines)+".")
		return // of a machine that there is not the rest is not known either
	}
	if can.MaxVCPUs > 0 && max(vm.VCPUs, vm.MaxVCPUs) > can.MaxVCPUs && (o.creates("vcpus") || o.creates("max_vcpus")) {
		refuse("vcpus", fmt.Sprintf("up to %d vCPUs", max(vm.VCPUs, vm.MaxVCPUs)), fmt.Sprintf("at most %d for such a guest", can.MaxVCPUs), "Ask for fewer.")
	}
	if vm.CPU != "" && can.CPUs != nil && !slices.Contains(can.CPUs, vm.CPU) && o.creates("cpu") {
		refuse("cpu", fmt.Sprintf("cpu = %q", vm.CPU), "no such CPU model for such a guest", "There are: "+some(can.CPUs)+".")
	}
	if vm.Firmware != "" && can.Firmwares != nil && !slices.Contains(can.Firmwares, vm.Firmware) && o.creates("firmware") {
		fix := "There is: " + some(can.Firmwares) + "."
		if vm.Firmware == "uefi" {
			fix = f.host.Rules.Defaults().InstallUEFI + `, or set firmware = "bios".`
		}
		refuse("firmware", fmt.Sprintf("firmware = %q", vm.Firmware), "none for such a guest", fix)
	}
	if vm.SecureBoot != nil && *vm.SecureBoot && slices.Contains(can.Firmwares, "uefi") && !can.SecureBoot && o.creates("secure_boot") {
		refuse("secure_boot", "secure boot", "no firmware that does that", "Install one there, or set secure_boot = false.")
	}
	if vm.TPM != nil && can.TPMs != nil && !slices.Contains(can.TPMs, vm.TPM.Version) && o.creates("tpm") {
		refuse("tpm", "a TPM "+vm.TPM.Version, "nothing that emulates one", f.host.Rules.Defaults().InstallTPM+", or take the tpm block out.")
	}
}

// checkFolder looks at where a pool is to be.
func (f *preflightCheck) checkFolder(o *object, pool *resource.Pool) {
	folder, ok := f.facts.Folders[pool.Path]
	if !ok || !pool.IsManaged() {
		return
	}
	warn := func(summary, why, fix string) {
		f.warn(o, "path", summary, fmt.Sprintf("%s is to be in %s on host %q, %s. %s", o.addr, pool.Path, f.host.label, why, fix))
	}
	what := folder.Nearest
	if what == pool.Path {
		what = "which"
	}
	switch {
	case folder.NoFolder:
		warn("the path leads to a file", what+" is a file there, not a folder", "Move it away, or choose another path.")
	case folder.ReadOnly:
		warn("the pool cannot be written", "and the host may not write in "+folder.Nearest, "Choose another path, or "+f.host.Rules.Defaults().LetWrite+".")
	case folder.Closed != "":
		warn("guests cannot reach the pool", fmt.Sprintf("and guests run as %s, who may not pass %s: they would not start", folder.User, folder.Closed),
			fmt.Sprintf("Choose a path elsewhere, such as below %s or /srv, or let them through: chmod o+x %s", f.host.Rules.Defaults().PoolPath, folder.Closed))
	}
}

// checkBridge looks for a bridge that must be there already. One that a network of the project makes is there in time.
func (f *preflightCheck) checkBridge(o *object, path, name string) {
	if name == "" || f.facts.Interfaces == nil || slices.Contains(f.facts.Interfaces, name) {
		return
	}
	for _, n := range f.sorted {
		if lan, ok := n.planned.(*resource.Network); ok && n.destination.host == o.destination.host && n != o && lan.Bridge == name && lan.Mode != "bridge" {
			return
		}
	}
	f.refuseAt(o, path, "the host has no such bridge", fmt.Sprintf(
		"%s is to be on the bridge %q, which host %q does not have. Create it there, or name another: the host has the interfaces %s.",
		o.addr, name, f.host.label, some(f.facts.Interfaces)))
}

func (f *preflightCheck) checkMemory() {
	if f.facts.FreeMemory <= 0 || f.startingMemory <= f.facts.FreeMemory || len(f.starting) == 0 {
		return
	}
	names := make([]string, len(f.starting))
	for i, o := range f.starting {
		names[i] = o.addr.String()
	}
	f.addFinding(Finding{Severity: SeverityWarning, Addr: f.starting[0].addr, Path: "memory", Summary: "more memory than is free", Measured: true, Detail: fmt.Sprintf(
		"The plan starts %s, with %s of memory together, and host %q has %s free. Guests may be swapped out, or killed. Give them less, or stop something there first.",
		some(names), f.startingMemory, f.host.label, f.facts.FreeMemory)})
}

// fill adds what a volume will take of its pool.
func (f *preflightCheck) addPoolUse(o *object, vol *resource.Volume) {
	size := vol.Size
	switch was, _ := o.before.(*resource.Volume); {
	case o.action == ActionCreate, o.action == ActionReplace && (o.createBeforeDelete || was == nil):
	case was != nil && size > was.Size && (o.action == ActionReplace || o.action == ActionUpdate):
		size -= was.Size
	default:
		return
	}
	pool := f.objects[vol.Pool]
	if at := (location{o.destination.host, "pool/" + vol.PoolName}); pool == nil || pool.destination != at {
		pool = f.byLocation[at]
	}
	if pool == nil || pool.live == nil || pool.live.Capacity <= 0 {
		return
	}
	in := f.pools[pool.location]
	if in == nil {
		in = &poolUse{pool: pool}
		f.pools[pool.location] = in
	}
	if vol.Format != "raw" {
		in.thin += size
		return
	}
	in.whole += size
	if in.largest == nil || in.largest.planned.(*resource.Volume).Size < vol.Size {
		in.largest = o
	}
}

func (f *preflightCheck) checkPools() {
	for _, o := range f.sorted {
		in := f.pools[o.location]
		if in == nil || in.pool != o {
			continue
		}
		free, name := o.live.Free, nameOf(o.live.Resource)
		switch {
		case in.whole > free:
			f.refuseAt(in.largest, "size", "the pool has too little space", fmt.Sprintf(
				"The plan's raw volumes take %s of pool %q on host %q, which has %s free. Make them smaller or %s, put them into another pool, or make room.",
				in.whole, name, f.host.label, free, f.host.Rules.Defaults().DiskFormat))
		case in.whole+in.thin > free:
			f.addFinding(Finding{Severity: SeverityWarning, Addr: o.addr, Summary: "the pool may run full", Measured: true, Detail: fmt.Sprintf(
				"What the plan adds to pool %q on host %q can grow to %s, and %s are free. When the pool is full, guests that write are paused.",
				name, f.host.label, in.whole+in.thin, free)})
		}
	}
}

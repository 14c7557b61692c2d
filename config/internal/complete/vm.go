package complete

import (
	"slices"
	"strings"
	"time"

	"vmplan.dev/vmplan/config/resource"
)

// VM completes and checks a vm whose hardware is filled in. An instance is made from an appliance.
func VM(src Source, vm *resource.VM, pref Preference, from Origin, instance bool) {
	checkMinimum(src, vm, from)
	if vm.Running == nil && !src.Null("running") && !src.Wrong("running") {
		OrTrue(&vm.Running)
	}
	OrElse(&vm.ShutdownTimeout, resource.Duration(time.Minute))
	OrElse(&vm.OnDelete, "cascade")
	if r := vm.Ready; r != nil {
		OrElse(&r.Timeout, resource.Duration(5*time.Minute))
		if r.SSH != nil {
			OrElse(&r.SSH.Port, 22)
		}
	}
	if t := vm.TPM; t != nil {
		OrElse(&t.Version, "2.0")
	}
	if g := vm.Graphics; g != nil {
		OrElse(&g.Type, "vnc")
		OrElse(&g.Listen, "127.0.0.1")
	}
	if !vm.Image.IsZero() {
		rootFirst(vm, instance)
	}
	for i := range vm.Disks {
		completeDisk(src, vm, i, pref, from)
	}
	for i := range vm.NICs {
		NIC(src, &vm.NICs[i], pref.NICModel)
	}
	checkVM(src, vm)
}

// checkVM checks what holds for a vm alone.
func checkVM(src Source, vm *resource.VM) {
	if ci := vm.CloudInit; ci != nil && ci.Hostname != "" && !goodHostname(ci.Hostname) {
		src.Mistake("cloud_init.hostname", "Bad host name", "%q is not a host name: letters, digits and - are allowed, with dots between its parts, such as \"web-1\".", ci.Hostname)
	}
	if len(vm.Disks) == 0 && vm.Image.IsZero() && !src.Wrong("image") && !src.Wrong("clone") {
		src.Mistake("", "Nothing to boot from", "%s has neither image nor disk. Set image, or write disk \"root\" { … }.", vm.Addr)
		src.Fail("image")
	}
	if IsTrue(vm.SecureBoot) && vm.Firmware != UEFI && !src.Wrong("firmware") {
		src.Mistake("secure_boot", "Secure boot without UEFI", "secure_boot needs firmware = \"uefi\".")
	}
	if t := vm.TPM; t != nil && t.Version == "1.2" && t.Model == "tpm-crb" {
		src.Mistake("tpm.model", "TPM model too new", "A tpm-crb is of version 2.0. Take version = \"1.2\" out, or write model = \"tpm-tis\".")
	}
	if vm.MaxVCPUs != 0 && vm.MaxVCPUs < vm.VCPUs && !src.Wrong("vcpus") {
		src.Mistake("max_vcpus", "Limit below the value", "max_vcpus is %d, and vcpus is %d.", vm.MaxVCPUs, vm.VCPUs)
	}
	if vm.MaxMemory != 0 && vm.MaxMemory < vm.Memory && !src.Wrong("memory") {
		src.Mistake("max_memory", "Limit below the value", "max_memory is %s, and memory is %s.", vm.MaxMemory, vm.Memory)
	}
	reachable := slices.ContainsFunc(vm.NICs, func(n resource.NIC) bool { return !IsTrue(n.User) })
	if r := vm.Ready; r != nil && !reachable && (r.SSH != nil || r.Address != nil) {
		src.Mistake("ready", "Ready without a nic", "%s has no nic on a network or bridge, so nothing in it can ever answer over one. Wait for agent {} or cloud_init {}, or add a nic.", vm.Addr)
	}
}

func goodHostname(name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		plain := strings.Trim(strings.ToLower(part), "abcdefghijklmnopqrstuvwxyz0123456789-")
		if part == "" || len(part) > 63 || plain != "" || strings.Trim(part, "-") != part {
			return false
		}
	}
	return len(name) <= 253
}

// Package guest owns what vmplan knows of the inside of a virtual machine: the NoCloud seed that its cloud-init reads, how to
// tell that its ssh server, its QEMU agent and its cloud-init are done, and how to call the system's ssh client for it.
//
// It must not know a hypervisor: the way to the guest (a dialer, an agent channel) is handed in. It writes no file but the
// project's known_hosts, so that the secrets of a seed never touch a disk of this machine on their way.
package guest

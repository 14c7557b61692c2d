// Package libvirt is the driver for hosts that run libvirt: QEMU/KVM near or far, and libvirt's own test driver.
//
// It owns everything that is said to libvirt: connections, the XML of domains, networks, pools and volumes in both
// directions, the canonical form in which live and desired objects are compared, what a change does to a running guest, and
// each operation as calls that can be repeated. No type of the libvirt bindings leaves it.
//
// It must not decide what is to be done, read state or files of the project, or know where image bits come from. The
// content of seeds and the ways to ask a guest whether it is ready are drivers/guest's.
//
// The library is loaded when the program starts (build tag libvirt_dlopen), so that a binary works without it until a
// libvirt host is asked for. With the build tag nolibvirt the package is empty.
package libvirt

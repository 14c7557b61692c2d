// Package libvirt is the driver for hosts that run libvirt: QEMU/KVM near or far, and libvirt's own test driver.
//
// It owns everything that is said to libvirt: connections, the canonical form in which live and desired objects are compared,
// and each operation as calls that can be repeated. No type of the libvirt bindings leaves it. Where the XML of domains,
// networks and pools keeps each field, and what its change does, is in internal/definition.
//
// It must not decide what is to be done, read state or files of the project, or know where image bits come from. The
// content of seeds and the ways to ask a guest whether it is ready are drivers/guest's.
//
// With the build tag libvirt_dlopen the library is loaded when the first libvirt host is opened, so that a binary works
// without it until then. With the build tag nolibvirt the package is empty.
package libvirt

// Package libvirttest gives tests, the demo and the benchmarks what they need to be real: libvirt hosts that are private to
// the process that starts them, and a guest of a few megabytes that boots in seconds without KVM.
//
// It knows nothing of vmplan's model and links no libvirt library: a host is a daemon to connect to, a guest is a disk
// file. It must not be imported by anything that ships. It works on Linux, as root.
package libvirttest

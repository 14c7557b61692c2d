//go:build !libvirt_dlopen || !linux

// Package symbols has nothing to do where the binding is linked with libvirt, and cannot do it where the linker has
// no --wrap.
package symbols

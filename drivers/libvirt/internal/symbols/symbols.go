//go:build libvirt_dlopen && linux

// Package symbols changes how the binding loads libvirt, where it does so at run time (the tag libvirt_dlopen). It
// stands between the binding and its own C functions by the linker's --wrap, and must not call libvirt itself.
//
// The library is loaded by the first call that needs it. The binding's init function would load it, which takes 15 ms
// in every command; what that function asks for (a handler that keeps libvirt from printing errors) is done just before
// the first look-up.
//
// Look-ups are done one at a time. The binding looks a function up when it is first called, and notes "looked up" an
// instruction before it notes "found": a thread that comes in between is told "Failed to load virNetworkGetXMLDesc".
package symbols

// #cgo LDFLAGS: -Wl,--wrap=libvirtSymbol -Wl,--wrap=libvirtQemuSymbol -Wl,--wrap=virSetErrorFuncWrapper
// unsigned long vmplan_symbols_seen(void);
import "C"

import _ "libvirt.org/go/libvirt" // has the functions that are wrapped

// Seen is how many look-ups went through the lock so far.
func Seen() uint64 { return uint64(C.vmplan_symbols_seen()) }

//go:build libvirt_dlopen && linux

// Package symbols keeps the first calls of libvirt's functions apart. With the tag libvirt_dlopen the binding looks a
// function up when it is first called, and notes "looked up" an instruction before it notes "found": a thread that
// comes in between is told "Failed to load virNetworkGetXMLDesc". The linker puts a lock of ours around that look-up
// (ld's --wrap). It is imported for that alone, by whatever calls libvirt from several goroutines.
package symbols

// #cgo LDFLAGS: -Wl,--wrap=libvirtSymbol -Wl,--wrap=libvirtQemuSymbol
// unsigned long vmplan_symbols_seen(void);
import "C"

import _ "libvirt.org/go/libvirt" // has the functions that are wrapped

// Seen is how many calls of libvirt went through the lock so far.
func Seen() uint64 { return uint64(C.vmplan_symbols_seen()) }

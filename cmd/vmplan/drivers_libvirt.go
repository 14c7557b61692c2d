//go:build !nolibvirt

package main

import "vmplan.dev/vmplan/drivers/libvirt"

func init() {
	for _, scheme := range []string{"qemu", "test"} {
		parts.Drivers[scheme] = libvirt.Open
	}
}

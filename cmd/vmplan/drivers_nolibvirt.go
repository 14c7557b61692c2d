//go:build nolibvirt

package main

func init() {
	for _, scheme := range []string{"qemu", "test"} {
		absent[scheme] = "This vmplan was built without libvirt (-tags nolibvirt): hosts of libvirt need one that was built with it."
	}
}

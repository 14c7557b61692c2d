package config

import "vmplan.dev/vmplan/config/resource"

// testDefaults is what all hosts of tests decide.
func testDefaults(string) resource.HostDefaults {
	return resource.HostDefaults{
		PoolName: "default", PoolPath: "/var/lib/libvirt/images", DiskFormat: "qcow2",
		OwnFolders: []string{"/var/lib/libvirt"},
	}
}

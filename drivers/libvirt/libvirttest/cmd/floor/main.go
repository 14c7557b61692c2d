//go:build !nolibvirt

// Command floor is what vmplan's speed is measured against: the bare libvirt calls for the same objects, by hand, over one
// connection. It prints the seconds they took.
//
//	floor read URI                              list and dump all domains, networks, pools and volumes
//	floor apply URI POOL N PARALLEL NAME FOLDER define N domains, each with an overlay and a seed
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"libvirt.org/go/libvirt"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: see the package comment")
	}
	begin := time.Now()
	conn, err := libvirt.NewConnect(args[1])
	if err != nil {
		return err
	}
	defer conn.Close()
	switch {
	case args[0] == "read":
		err = read(conn)
	case args[0] == "apply" && len(args) == 7:
		err = apply(conn, args[2], args[3], args[4], args[5], args[6])
	default:
		err = fmt.Errorf("usage: see the package comment")
	}
	fmt.Printf("%.3f\n", time.Since(begin).Seconds())
	return err
}

func read(conn *libvirt.Connect) error {
	domains, err := conn.ListAllDomains(0)
	if err != nil {
		return err
	}
	for i := range domains {
		if _, err := domains[i].GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE); err != nil {
			return err
		}
	}
	networks, err := conn.ListAllNetworks(0)
	if err != nil {
		return err
	}
	for i := range networks {
		if _, err := networks[i].GetXMLDesc(libvirt.NETWORK_XML_INACTIVE); err != nil {
			return err
		}
	}
	pools, err := conn.ListAllStoragePools(0)
	if err != nil {
		return err
	}
	for i := range pools {
		if err := readPool(&pools[i]); err != nil {
			return err
		}
	}
	return nil
}

func readPool(pool *libvirt.StoragePool) error {
	if _, err := pool.GetXMLDesc(0); err != nil {
		return err
	}
	volumes, err := pool.ListAllStorageVolumes(0)
	if err != nil {
		return err
	}
	for i := range volumes {
		if _, err := volumes[i].GetXMLDesc(0); err != nil {
			return err
		}
	}
	return nil
}

// apply makes n guests from an existing base volume NAME, whose pool has the folder dir: per guest an overlay, a seed
// written into the folder, and a definition; and in the end one refresh of the pool.
func apply(conn *libvirt.Connect, poolName, count, parallel, base, dir string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	limit, err := strconv.Atoi(parallel)
	if err != nil {
		return err
	}
	pool, err := conn.LookupStoragePoolByName(poolName)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(limit)
	for i := range n {
		group.Go(func() error { return applyOne(conn, pool, fmt.Sprintf("floor-%d", i), base, dir) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return pool.Refresh(0)
}

func applyOne(conn *libvirt.Connect, pool *libvirt.StoragePool, name, base, dir string) error {
	disk, seed := filepath.Join(dir, name+".qcow2"), filepath.Join(dir, name+".iso")
	_, err := pool.StorageVolCreateXML(fmt.Sprintf(`<volume><name>%s.qcow2</name><capacity>1073741824</capacity>
<target><format type='qcow2'/></target><backingStore><path>%s</path><format type='raw'/></backingStore></volume>`,
		name, filepath.Join(dir, base)), 0)
	if err != nil {
		return err
	}
	if err := os.WriteFile(seed, make([]byte, 64<<10), 0o600); err != nil {
		return err
	}
	_, err = conn.DomainDefineXML(fmt.Sprintf(domainXML, name, disk, seed))
	return err
}

// domainXML has the devices that vmplan gives a guest, because libvirt's cost grows with them.
var domainXML = `<domain type='qemu'><name>%s</name><memory unit='MiB'>128</memory><vcpu>1</vcpu>
<os><type machine='q35'>hvm</type></os><features><acpi/><apic/></features><cpu mode='maximum'/><devices>
<controller type='scsi' index='0' model='virtio-scsi'/><controller type='pci' index='0' model='pcie-root'/>` + rootPorts() + `
<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%s'/><target dev='vda' bus='virtio'/></disk>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='%s'/><target dev='vdb' bus='virtio'/><readonly/></disk>
<interface type='network'><source network='lan'/><model type='virtio'/></interface>
<serial type='pty'><target port='0'/></serial><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
<memballoon model='virtio'/><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng></devices></domain>`

func rootPorts() string {
	var b strings.Builder
	for i := 1; i <= 12; i++ {
		fmt.Fprintf(&b, "<controller type='pci' index='%d' model='pcie-root-port'/>", i)
	}
	return b.String()
}

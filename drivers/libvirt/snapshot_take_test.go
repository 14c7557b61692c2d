//go:build !nolibvirt

package libvirt

import (
	"errors"
	"strings"
	"testing"
	"time"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

// The variables of UEFI firmware are in no snapshot, so libvirt takes none of them; of the disks alone there is one, while the
// guest runs.
func TestTheDisksOfAUEFIGuestHaveSnapshots(t *testing.T) {
	_, d, pool := store(t)
	root := normal(t, d, &resource.Volume{Meta: labMeta(resource.KindVolume, "root"), PoolName: pool.Name, File: "root.qcow2", Size: 8 * resource.MiB})
	do(t, d, drivers.NewCreate(root, nil))
	vm := normal(t, d, &resource.VM{
		Meta: labMeta(resource.KindVM, "web"), UUID: "0a6a3c5e-0000-5000-8000-000000000077", Firmware: "uefi", DomainType: "qemu", Memory: 128 * resource.MiB,
		ShutdownTimeout: resource.Duration(time.Second), Disks: []resource.Disk{{Label: "root", Source: resource.VolumeID(root)}},
	})
	do(t, d, drivers.NewCreate(vm, nil))
	refused := func(memory bool) {
		t.Helper()
		_, err := d.Do(t.Context(), drivers.NewSnapshot(vm, "none", memory), nil)
		if !errors.Is(err, drivers.ErrUnsupported) || !strings.Contains(err.Error(), "--disk-only") {
			t.Errorf("with memory %t: %v", memory, err)
		}
	}
	refused(false)
	do(t, d, drivers.NewStart(vm))
	refused(true)
	do(t, d, drivers.NewSnapshot(vm, "disks", false))
	refuseTheirs(t, d, vm)
	do(t, d, drivers.NewStop(vm, true))
	do(t, d, drivers.NewRestore(vm, "disks", false))
	o, err := d.Observe(t.Context(), drivers.Selection{Want: []resource.Resource{vm}})
	check(t, err)
	live := o.Objects[resource.Key(vm)]
	if live.Power != drivers.PowerOff || len(live.Snapshots) != 1 || live.Snapshots[0].Quiesced || live.Resource.(*resource.VM).Firmware != "uefi" {
		t.Errorf("after the restore: %s, %+v", live.Power, live.Snapshots)
	}
	do(t, d, drivers.NewStart(vm))
	do(t, d, drivers.NewStop(vm, true))
	do(t, d, drivers.NewDropSnapshot(vm, "disks"))
	do(t, d, drivers.NewDelete(vm))
}

// refuseTheirs: a snapshot that somebody has in the disk behind libvirt's back stays, and its name is not taken.
func refuseTheirs(t *testing.T, d *driver, vm *resource.VM) {
	t.Helper()
	s, err := d.session(t.Context())
	check(t, err)
	dom, err := s.conn.LookupDomainByName(vm.Name)
	check(t, err)
	defer freeDomain(dom)
	nodes, err := writableNodes(dom)
	check(t, err)
	theirs := map[string]any{"device": nodes[0], "name": "theirs"}
	check(t, qmp(dom, "blockdev-snapshot-internal-sync", theirs))
	if _, err := d.Do(t.Context(), drivers.NewSnapshot(vm, "theirs", false), nil); !errors.Is(err, drivers.ErrConflict) {
		t.Errorf("a snapshot called as another that libvirt does not know of: %v", err)
	}
	check(t, qmp(dom, "blockdev-snapshot-delete-internal-sync", theirs)) // it is still there
}

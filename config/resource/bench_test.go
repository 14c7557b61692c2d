package resource

import (
	"fmt"
	"testing"
)

// BenchmarkOverlayAndDiff compares 10,000 vms with two disks and a NIC each; one iteration is all of them.
func BenchmarkOverlayAndDiff(b *testing.B) {
	desired := make([]*VM, 10_000)
	for i := range desired {
		yes := true
		desired[i] = &VM{
			Meta:  Meta{Addr: Addr{Kind: KindVM, Name: "web", Key: IndexKey(i)}, Host: "lab", Name: fmt.Sprint("web-", i)},
			VCPUs: 2, Memory: 2 * GiB, Machine: "q35", Firmware: "uefi", Running: &yes, Autostart: &yes,
			Disks: []Disk{{Label: "root", Source: "default/web.qcow2", Bus: "virtio"}, {Label: "seed", Source: "default/seed.iso", Bus: "virtio", ReadOnly: &yes}},
			NICs:  []NIC{{Label: "lan", Source: "lan", Model: "virtio", MAC: "52:54:00:00:00:01"}},
		}
	}
	for b.Loop() {
		for _, vm := range desired {
			if d := Diff(Overlay(vm, vm, vm)); len(d) > 0 {
				b.Fatal(d)
			}
		}
	}
}

func BenchmarkDiffOfManyReservations(b *testing.B) {
	lan := &Network{}
	for i := range 10_000 {
		lan.Reservations = append(lan.Reservations, Reservation{MAC: fmt.Sprint(i), Address: "10.0.0.1"})
	}
	for b.Loop() {
		if d := Diff(Overlay(lan, lan, lan)); len(d) > 0 {
			b.Fatal(d)
		}
	}
}

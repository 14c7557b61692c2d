package config

import (
	"fmt"
	"slices"

	"vmplan.dev/vmplan/config/internal/complete"
	"vmplan.dev/vmplan/config/resource"
)

// seedPool gives the pool for the seed of a vm whose own disks lie in pools: the one it lies in already, if that is among
// them, or else the first. Without disks of the vm's own it is a pool like that of a disk.
func (p *placement) seedPool(o *object, vm *resource.VM, pools []*resource.Pool) *resource.Pool {
	addr := vm.Addr.WithPart(seedPart)
	if len(pools) == 0 {
		return p.pool(o, "cloud_init", addr, resource.Addr{})
	}
	recorded := p.locationOf(addr)
	i := slices.IndexFunc(pools, func(pool *resource.Pool) bool { return pool.Name == recorded.poolName })
	return pools[max(i, 0)]
}

// seed turns cloud_init into a seed and the disk that shows it to the guest.
func (p *placement) seed(o *object, vm *resource.VM, pools []*resource.Pool) {
	pool := p.seedPool(o, vm, pools)
	if pool == nil {
		return
	}
	s := &resource.Seed{Meta: p.part(vm, seedPart, vm.Name+"-"+seedPart), Pool: pool.Addr, PoolName: pool.Name}
	content := complete.SeedWriter{Salt: p.prior.Salt, Network: p.network}.Write(vm, s)
	s.File = fmt.Sprintf("%s-%s.iso", p.seedPrefix(vm), resource.NewSecret(content, p.prior.Salt).Hash()[:8])
	if was := recorded[*resource.Seed](p.evaluator, s.Addr); was != nil && vm.Lifecycle != nil && slices.Contains(vm.Lifecycle.IgnoreChanges, cloudInit) {
		s.File = was.File
	}
	p.extra = append(p.extra, s)
	yes, bus := true, "virtio"
	if len(vm.Disks) > 0 {
		bus = vm.Disks[0].Bus
	}
	vm.Disks = append(vm.Disks, resource.Disk{
		Label: seedLabel, Volume: s.Addr, Source: resource.VolumeID(s), Bus: bus, Device: "disk", ReadOnly: &yes,
	})
}
